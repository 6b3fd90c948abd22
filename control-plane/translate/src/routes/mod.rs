//! RouteConfiguration: which request goes where.

mod action;
mod encoded;
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
use heddle_proto::envoy::config::route::v3::{RouteConfiguration, VirtualHost};
use heddle_snapshot::{Resource, Scope};

pub(crate) use self::grpc::GrpcPorts;
pub(crate) use self::{
    encoded::{EncodedRoutes, Host, Routes},
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
        self.build_with(key, &mut EncodedRoutes::default())
    }
}

impl MeshRoutesUnit {
    /// With what is known of rules that did not change.
    pub(crate) fn build_with(&self, key: &RouteTableKey, known: &mut EncodedRoutes) -> Resource {
        let frame = RouteConfiguration {
            name: key.to_string(),
            ..RouteConfiguration::default()
        };
        let host = Host {
            head: virtual_host("*"),
            routes: mesh_routes(&key.port, self.0.as_deref()),
        };
        known.resource(&frame, &[host], consumer_scope(key), Vec::new())
    }
}

/// The routes of a Service port.
pub(crate) fn mesh_routes<'a>(port: &ServicePortKey, table: Option<&'a RouteTable>) -> Routes<'a> {
    match table {
        None => {
            let service = format!("Service {}", port.service);
            Routes::One(Box::new(default_route(port)), service.into())
        }
        Some(table) => Routes::Of(&table.rules),
    }
}

/// The routes of a Gateway's listener.
#[derive(Debug, PartialEq)]
pub(crate) struct GatewayRoutesUnit(pub(crate) Arc<GatewayListener>);

impl Unit for GatewayRoutesUnit {
    type Key = GatewayListenerKey;

    fn build(&self, key: &GatewayListenerKey) -> Resource {
        self.build_with(key, &mut EncodedRoutes::default())
    }
}

impl GatewayRoutesUnit {
    /// With what is known of rules that did not change.
    pub(crate) fn build_with(
        &self,
        key: &GatewayListenerKey,
        known: &mut EncodedRoutes,
    ) -> Resource {
        gateway_routes(key, &self.0, Scope::Nodes, known)
    }
}

/// The resource of a Gateway listener's routes.
pub(crate) fn gateway_routes(
    key: &GatewayListenerKey,
    listener: &GatewayListener,
    scope: Scope,
    known: &mut EncodedRoutes,
) -> Resource {
    let frame = RouteConfiguration {
        name: key.to_string(),
        ignore_port_in_host_matching: true,
        ..RouteConfiguration::default()
    };
    let hosts: Vec<_> = listener
        .hosts
        .iter()
        .map(|host| Host {
            head: virtual_host(&pattern(&host.host)),
            routes: Routes::Of(&host.rules),
        })
        .collect();
    let gateway = format!("Gateway {}", key.gateway);
    known.resource(&frame, &hosts, scope, vec![gateway.into()])
}

/// A virtual host without its routes.
fn virtual_host(host: &str) -> VirtualHost {
    VirtualHost {
        name: host.to_owned(),
        domains: vec![host.to_owned()],
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
pub(crate) fn origin(rules: &[Arc<RouteRule>]) -> Vec<Arc<str>> {
    let routes: BTreeSet<_> = rules.iter().map(|rule| &rule.origin.route).collect();
    routes
        .into_iter()
        .map(|route| route.to_string().into())
        .collect()
}
