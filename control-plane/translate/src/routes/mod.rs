//! RouteConfiguration: which request goes where.

mod action;
mod grpc;
mod headers;
mod matches;
mod rewrite;
mod route;

use std::{collections::BTreeSet, sync::Arc};

use heddle_model::{
    GatewayListener, GatewayListenerKey, HostMatch, RouteRule, RouteTable, RouteTableKey,
    ServicePortKey,
};
use heddle_proto::{
    envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost},
    type_url,
};
use heddle_snapshot::{Resource, Scope};

pub(crate) use self::grpc::GrpcPorts;
pub(crate) use self::{
    rewrite::escape,
    route::{default_route, route},
};
use crate::memo::Unit;

/// Who needs the listener and the routes of this key: for a consumer's, only nodes that have pods of that namespace.
pub(crate) fn consumer_scope(key: &RouteTableKey) -> Scope {
    match &key.consumer {
        None => Scope::Nodes,
        Some(namespace) => Scope::NodesWithNamespace(namespace.as_str().into()),
    }
}

/// The routes of a Service port. `None`: no route attached, all requests go to the Service itself.
#[derive(Debug, PartialEq)]
pub(crate) struct MeshRoutesUnit(pub(crate) Option<Arc<RouteTable>>);

impl Unit for MeshRoutesUnit {
    type Key = RouteTableKey;

    fn build(&self, key: &RouteTableKey) -> Resource {
        let name = key.to_string();
        let (routes, origin) = mesh_routes(&key.port, self.0.as_deref());
        let message = RouteConfiguration {
            name: name.clone(),
            virtual_hosts: vec![virtual_host("*", routes)],
            ..RouteConfiguration::default()
        };
        Resource::new(
            type_url::ROUTE_CONFIGURATION,
            name,
            consumer_scope(key),
            origin,
            &message,
        )
    }
}

/// The routes of a Service port, and what they were made from.
pub(crate) fn mesh_routes(
    port: &ServicePortKey,
    table: Option<&RouteTable>,
) -> (Vec<Route>, Vec<Arc<str>>) {
    match table {
        None => {
            let service = format!("Service {}", port.service);
            (vec![default_route(port)], vec![service.into()])
        }
        Some(table) => (
            table.rules.iter().map(route).collect(),
            origin(&table.rules),
        ),
    }
}

/// The routes of a Gateway's listener.
#[derive(Debug, PartialEq)]
pub(crate) struct GatewayRoutesUnit(pub(crate) Arc<GatewayListener>);

impl Unit for GatewayRoutesUnit {
    type Key = GatewayListenerKey;

    fn build(&self, key: &GatewayListenerKey) -> Resource {
        gateway_routes(key, &self.0, Scope::Nodes)
    }
}

/// The resource of a Gateway listener's routes.
pub(crate) fn gateway_routes(
    key: &GatewayListenerKey,
    listener: &GatewayListener,
    scope: Scope,
) -> Resource {
    let name = key.to_string();
    let hosts = &listener.hosts;
    let gateway: Arc<str> = format!("Gateway {}", key.gateway).into();
    let routes = hosts.iter().flat_map(|host| origin(&host.rules));
    let message = RouteConfiguration {
        name: name.clone(),
        virtual_hosts: hosts
            .iter()
            .map(|host| virtual_host(&pattern(&host.host), host.rules.iter().map(route).collect()))
            .collect(),
        ignore_port_in_host_matching: true,
        ..RouteConfiguration::default()
    };
    let origin: BTreeSet<Arc<str>> = routes.chain([gateway]).collect();
    Resource::new(
        type_url::ROUTE_CONFIGURATION,
        name,
        scope,
        origin.into_iter().collect(),
        &message,
    )
}

fn virtual_host(host: &str, routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        name: host.to_owned(),
        domains: vec![host.to_owned()],
        routes,
        ..VirtualHost::default()
    }
}

fn pattern(host: &HostMatch) -> String {
    match host {
        HostMatch::Exact(name) => name.to_string(),
        HostMatch::Wildcard(suffix) => format!("*.{suffix}"),
        HostMatch::Any => "*".to_owned(),
    }
}

/// The routes that rules come from, each once, sorted.
pub(crate) fn origin(rules: &[RouteRule]) -> Vec<Arc<str>> {
    let routes: BTreeSet<_> = rules.iter().map(|rule| &rule.origin.route).collect();
    routes
        .into_iter()
        .map(|route| route.to_string().into())
        .collect()
}
