//! Routes attached to Services (GAMMA, GEP-1294).
//!
//! A route in the Service's own namespace (a producer's) applies to all clients; one in another namespace (a consumer's) only to the clients of that namespace, for whom it
//! replaces the producer's. A route acts at the Service's address, so that headless and ExternalName Services cannot be parents, and `hostnames` mean nothing.
//! Where HTTPRoutes and GRPCRoutes meet at one port, GRPCRoutes win.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_model::{
    AppProtocol, Namespace, RouteTable, RouteTableKey, Service, ServiceKind, ServicePort,
    ServicePortKey, Transport,
};

use super::{
    RefKind, RouteKind, backends::Linker, conditions::Verdict, links::LinkedRoute, parent_kind,
    precedence::in_order, read::Route,
};
use crate::{ParentRef, names::excerpt};

/// What came of attaching routes to Services.
#[derive(Debug, Default)]
pub(crate) struct Attached {
    pub(crate) tables: BTreeMap<RouteTableKey, RouteTable>,
    /// By (index of the route, index of its parentRef).
    pub(crate) verdicts: BTreeMap<(usize, usize), Verdict>,
}

/// Attaches all routes.
pub(crate) fn attach(routes: &[&LinkedRoute], linker: Linker<'_>) -> Attached {
    let mut attached = Attached::default();
    let mut wishes: BTreeMap<RouteTableKey, BTreeSet<usize>> = BTreeMap::new();
    let mut asked: Vec<(usize, usize, Vec<RouteTableKey>)> = Vec::new();
    let linked = |index: &usize| {
        let linked = routes.get(*index).and_then(|one| one.of_mesh.as_deref());
        linked.map_or(&[][..], |linked| &linked.candidates)
    };
    for (index, LinkedRoute { route, .. }) in routes.iter().enumerate() {
        for (number, parent) in route.parents.iter().enumerate() {
            if parent_kind(parent) != RefKind::Service {
                continue;
            }
            match tables_of(route, parent, linker) {
                Err(message) => {
                    attached.verdicts.insert(
                        (index, number),
                        Verdict::Refused("NoMatchingParent", message),
                    );
                }
                Ok(keys) => {
                    // A route with nothing left but dropped rules must not turn every request into a 404.
                    if !(linked(&index).is_empty() && route.written_rules > 0) {
                        for key in &keys {
                            wishes.entry(key.clone()).or_default().insert(index);
                        }
                    }
                    asked.push((index, number, keys));
                }
            }
        }
    }
    let grpc_tables = drop_less_specific(routes, &mut wishes);
    for (index, number, keys) in asked {
        let is_grpc = routes
            .get(index)
            .is_some_and(|one| one.route.kind == RouteKind::Grpc);
        let conflict = !is_grpc && keys.iter().all(|key| grpc_tables.contains(key));
        let verdict = if conflict {
            let message =
                "a GRPCRoute is attached to the same port, and is more specific (GEP-1294)";
            Verdict::Refused("Conflicted", message.to_owned())
        } else {
            Verdict::Attached
        };
        attached.verdicts.insert((index, number), verdict);
    }
    for (key, indices) in wishes {
        let candidates = indices.iter().flat_map(linked);
        let rules = in_order(candidates.map(|candidate| ((0, 0), candidate)));
        attached
            .tables
            .insert(key.clone(), RouteTable { key, rules });
    }
    attached
}

/// Only one kind of routes applies to a port: GRPCRoutes before HTTPRoutes. Returns the tables that have GRPCRoutes.
fn drop_less_specific(
    routes: &[&LinkedRoute],
    wishes: &mut BTreeMap<RouteTableKey, BTreeSet<usize>>,
) -> BTreeSet<RouteTableKey> {
    let is_grpc = |index: &usize| {
        routes
            .get(*index)
            .is_some_and(|one| one.route.kind == RouteKind::Grpc)
    };
    let mut grpc_tables = BTreeSet::new();
    for (key, indices) in wishes.iter_mut() {
        if indices.iter().any(is_grpc) {
            indices.retain(is_grpc);
            grpc_tables.insert(key.clone());
        }
    }
    grpc_tables
}

fn tables_of(
    route: &Route,
    parent: &ParentRef,
    linker: Linker<'_>,
) -> Result<Vec<RouteTableKey>, String> {
    let namespace = parent.namespace.as_deref().unwrap_or(&route.key.0);
    let name = excerpt(&format!("{namespace}/{}", parent.name));
    let state = linker
        .services
        .get(&(Arc::from(namespace), Arc::from(parent.name.as_str())))
        .ok_or_else(|| format!("there is no Service {name}"))?;
    let service = &state.model;
    match service.kind {
        ServiceKind::ClusterIp { .. } => {}
        ServiceKind::Headless => {
            return Err(format!(
                "the Service {name} is headless: it has no address that a route could act at"
            ));
        }
        ServiceKind::ExternalName { .. } => {
            return Err(format!(
                "the Service {name} is an ExternalName, which cannot be a parent"
            ));
        }
    }
    let ports = ports(service, parent);
    if ports.is_empty() {
        return Err(format!("the Service {name} has no such TCP port"));
    }
    let readable: Vec<&ServicePort> = ports
        .into_iter()
        .filter(|port| port.protocol != AppProtocol::Opaque)
        .collect();
    if readable.is_empty() {
        return Err(format!(
            "the Service {name} declares another protocol than HTTP for the port: routes do not apply to it"
        ));
    }
    let consumer: Option<Namespace> =
        (*namespace != *route.key.0).then(|| route.object.key.namespace.clone());
    let key = |port: &ServicePort| RouteTableKey {
        port: ServicePortKey {
            service: service.key.clone(),
            port: port.port,
            transport: port.transport,
        },
        consumer: consumer.clone(),
    };
    Ok(readable.into_iter().map(key).collect())
}

/// The TCP ports that a parentRef means: by number, by name, by both, or all.
fn ports<'a>(service: &'a Service, parent: &ParentRef) -> Vec<&'a ServicePort> {
    let wanted = |port: &&ServicePort| {
        port.transport == Transport::Tcp
            && parent
                .port
                .is_none_or(|number| i32::from(port.port.get()) == number)
            && parent
                .section_name
                .as_deref()
                .is_none_or(|name| port.name.as_deref() == Some(name))
    };
    service.ports.iter().filter(wanted).collect()
}
