//! Listeners: what each allows, and which of them cannot be served.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::{HostMatch, PortNumber};
use heddle_resources::{
    gateway::gateway::{
        GatewayListeners as Object, GatewayListenersAllowedRoutesNamespaces as NamespacesObject,
        GatewayListenersAllowedRoutesNamespacesFrom as From,
    },
    k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement},
};

use super::{OurGateway, hosts};
use crate::{
    names::{excerpt, is_dns_subdomain, no_port, port_number},
    problem::Report,
    routes::RouteKind,
    selector::Selector,
    settings::GATEWAY_GROUP,
};

/// A reason and a message.
pub(super) type Why = (&'static str, String);

/// A listener.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) name: String,
    /// As it is written, for parentRef.port.
    pub(super) written_port: i32,
    pub(super) port: Option<PortNumber>,
    pub(super) protocol: String,
    pub(super) host: HostMatch,
    /// Kinds of routes that may attach.
    pub(super) kinds: Vec<RouteKind>,
    pub(super) namespaces: AllowedNamespaces,
    /// Why it is not accepted.
    pub(super) refused: Option<Why>,
    /// With whom it conflicts.
    pub(super) conflict: Option<Why>,
    /// What of it does not resolve.
    pub(super) unresolved: Option<Why>,
    /// The routes that it selects and that select it, by index.
    pub(super) attached: BTreeSet<usize>,
}

impl Listener {
    /// Whether it can be served. Of several kinds of routes that it names some may be unknown: it serves the others.
    pub(super) fn is_valid(&self) -> bool {
        self.refused.is_none()
            && self.conflict.is_none()
            && (self.unresolved.is_none() || !self.kinds.is_empty())
    }
}

/// Namespaces whose routes may attach.
#[derive(Clone, Debug)]
pub(super) enum AllowedNamespaces {
    Same,
    All,
    Selected(Selector),
    /// A selector that cannot be read: none.
    None,
}

/// Reads the listeners of a Gateway.
pub(super) fn read(objects: &[Object], report: &mut Report) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = objects
        .iter()
        .enumerate()
        .map(|(index, object)| listener(index, object, report))
        .collect();
    find_conflicts(&mut listeners);
    listeners
}

fn listener(index: usize, object: &Object, report: &mut Report) -> Listener {
    let at = |field: &str| format!("spec.listeners[{index}].{field}");
    let port = port_number(object.port);
    let mut refused = refusal(object, port);
    let host = match object.hostname.as_deref().filter(|name| !name.is_empty()) {
        None => HostMatch::Any,
        Some(text) => hosts::parse(text).unwrap_or_else(|| {
            let message = format!("{} is not a host name", excerpt(text));
            report.add(at("hostname"), message.as_str());
            refused.get_or_insert(("UnsupportedValue", message));
            HostMatch::Any
        }),
    };
    let (kinds, unresolved) = kinds(object);
    let allowed = object
        .allowed_routes
        .as_ref()
        .and_then(|allowed| allowed.namespaces.as_ref());
    let namespaces = namespaces(allowed).unwrap_or_else(|(field, message)| {
        report.add(
            at(&format!("allowedRoutes.namespaces.{field}")),
            format!("{message}; no namespace is allowed"),
        );
        AllowedNamespaces::None
    });
    Listener {
        name: object.name.clone(),
        written_port: object.port,
        port,
        protocol: object.protocol.clone(),
        host,
        kinds,
        namespaces,
        refused,
        conflict: None,
        unresolved,
        attached: BTreeSet::new(),
    }
}

fn refusal(object: &Object, port: Option<PortNumber>) -> Option<Why> {
    if object.protocol != "HTTP" {
        let message = format!(
            "the protocol {} is not supported",
            excerpt(&object.protocol)
        );
        return Some(("UnsupportedProtocol", message));
    }
    if port.is_none() {
        return Some(("PortUnavailable", no_port(object.port)));
    }
    if !is_dns_subdomain(&object.name) {
        return Some((
            "UnsupportedValue",
            format!("{} is not a name", excerpt(&object.name)),
        ));
    }
    None
}

/// The kinds that the protocol carries, narrowed by allowedRoutes.kinds.
fn kinds(object: &Object) -> (Vec<RouteKind>, Option<Why>) {
    let carried: &[RouteKind] = if object.protocol == "HTTP" {
        &RouteKind::ALL
    } else {
        &[]
    };
    let wanted = object
        .allowed_routes
        .as_ref()
        .and_then(|allowed| allowed.kinds.as_deref())
        .unwrap_or_default();
    if wanted.is_empty() {
        return (carried.to_vec(), None);
    }
    let mut kinds = BTreeSet::new();
    let mut unknown = None;
    for kind in wanted {
        let of_group = kind.group.as_deref().unwrap_or(GATEWAY_GROUP) == GATEWAY_GROUP;
        match carried
            .iter()
            .find(|carried| of_group && carried.name() == kind.kind)
        {
            Some(kind) => {
                kinds.insert(*kind);
            }
            None => {
                let message = format!(
                    "{} cannot attach to a listener of this protocol",
                    excerpt(&kind.kind)
                );
                unknown.get_or_insert(("InvalidRouteKinds", message));
            }
        }
    }
    (kinds.into_iter().collect(), unknown)
}

fn namespaces(object: Option<&NamespacesObject>) -> Result<AllowedNamespaces, (String, String)> {
    match object.and_then(|object| object.from.as_ref()) {
        None | Some(From::Same) => Ok(AllowedNamespaces::Same),
        Some(From::All) => Ok(AllowedNamespaces::All),
        Some(From::Selector) => {
            let selector = object
                .and_then(|object| object.selector.as_ref())
                .ok_or_else(|| ("selector".to_owned(), "is missing".to_owned()))?;
            let expressions = selector.match_expressions.as_ref().map(|list| {
                let requirement = |one: &heddle_resources::gateway::gateway::GatewayListenersAllowedRoutesNamespacesSelectorMatchExpressions| {
                    LabelSelectorRequirement {
                        key: one.key.clone(),
                        operator: one.operator.clone(),
                        values: one.values.clone(),
                    }
                };
                list.iter().map(requirement).collect()
            });
            let selector = LabelSelector {
                match_labels: selector.match_labels.clone(),
                match_expressions: expressions,
            };
            Selector::parse(&selector)
                .map(AllowedNamespaces::Selected)
                .map_err(|(field, message)| (format!("selector.{field}"), message))
        }
    }
}

/// Protocols that can share a port, told apart by host name.
fn protocol_class(protocol: &str) -> Option<&'static str> {
    match protocol {
        "HTTP" => Some("HTTP"),
        "HTTPS" | "TLS" => Some("TLS"),
        "TCP" => Some("TCP"),
        "UDP" => Some("UDP"),
        _ => None,
    }
}

/// Listeners must differ in port, protocol or host name; of those that do not, none is served (GatewaySpec.listeners).
fn find_conflicts(listeners: &mut [Listener]) {
    let conflicts: Vec<Option<Why>> = (0..listeners.len())
        .map(|index| conflict(listeners, index))
        .collect();
    for (listener, conflict) in listeners.iter_mut().zip(conflicts) {
        listener.conflict = conflict;
    }
}

fn conflict(listeners: &[Listener], index: usize) -> Option<Why> {
    let this = listeners.get(index)?;
    let class = protocol_class(&this.protocol)?;
    let others = listeners
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index)
        .map(|(_, other)| other);
    for other in others {
        if other.name == this.name {
            return Some((
                "HostnameConflict",
                format!("another listener has the name {}", excerpt(&this.name)),
            ));
        }
        if other.port != this.port || other.port.is_none() {
            continue;
        }
        match protocol_class(&other.protocol) {
            Some(other_class) if other_class == class && other.host == this.host => {
                let message = format!(
                    "the listener {} has the same port and host name",
                    excerpt(&other.name)
                );
                return Some(("HostnameConflict", message));
            }
            Some(other_class) if other_class == class => {}
            // UDP has ports of its own.
            Some(other_class) if other_class != "UDP" && class != "UDP" => {
                let message = format!(
                    "the listener {} has another protocol on the same port",
                    excerpt(&other.name)
                );
                return Some(("ProtocolConflict", message));
            }
            _ => {}
        }
    }
    None
}

/// All Gateways share the nodes' addresses: a port belongs to the oldest Gateway that has it (they come in that order).
pub(super) fn refuse_taken_ports(gateways: &mut [OurGateway<'_>]) {
    let mut owners: BTreeMap<PortNumber, usize> = BTreeMap::new();
    let mut names = Vec::new();
    for (index, gateway) in gateways.iter_mut().enumerate() {
        names.push(gateway.key.to_string());
        if gateway.refused.is_some() {
            continue;
        }
        for listener in gateway
            .listeners
            .iter_mut()
            .filter(|listener| listener.is_valid())
        {
            let Some(port) = listener.port else {
                continue;
            };
            let owner = *owners.entry(port).or_insert(index);
            if owner != index {
                let owner = names.get(owner).map(String::as_str).unwrap_or_default();
                listener.refused = Some((
                    "PortUnavailable",
                    format!("the port is already used by the Gateway {owner}"),
                ));
            }
        }
    }
}
