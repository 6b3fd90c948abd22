//! RouteConfiguration: a Gateway's as for node proxies, and one for all Services that an outbound proxy routes by host.

use std::sync::Arc;

use heddle_model::{GatewayListener, GatewayListenerKey, RouteTable, ServicePortKey};
use heddle_proto::{
    envoy::config::route::v3::{RouteConfiguration, VirtualHost},
    names,
};
use heddle_snapshot::{Resource, Scope};

use crate::{
    memo::Unit,
    routes::{EncodedRoutes, Host, gateway_routes, mesh_routes},
};

/// The port that a URL of the scheme `http` means if it names none (RFC 9110, 4.2.1).
const HTTP_PORT: u16 = 80;

/// The routes of a Gateway's listener.
#[derive(Debug, PartialEq)]
pub(super) struct GatewayRoutesUnit(pub(super) Arc<GatewayListener>);

impl Unit for GatewayRoutesUnit {
    type Key = GatewayListenerKey;

    fn build(&self, key: &GatewayListenerKey) -> Resource {
        self.build_with(key, &mut EncodedRoutes::default())
    }
}

impl GatewayRoutesUnit {
    /// With what is known of rules that did not change.
    pub(super) fn build_with(
        &self,
        key: &GatewayListenerKey,
        known: &mut EncodedRoutes,
    ) -> Resource {
        let scope = Scope::Gateway(key.gateway.to_string().into());
        gateway_routes(key, &self.0, scope, known)
    }
}

/// A Service port that requests can be sent to.
#[derive(Debug, PartialEq)]
pub(super) struct OutboundPort {
    pub(super) port: ServicePortKey,
    /// `None`: no route attached.
    pub(super) table: Option<Arc<RouteTable>>,
}

/// Everything that an outbound proxy routes.
#[derive(Debug, PartialEq)]
pub(super) struct OutboundRoutesUnit {
    pub(super) cluster_domain: Arc<str>,
    /// In the order of their keys.
    pub(super) ports: Vec<OutboundPort>,
}

impl Unit for OutboundRoutesUnit {
    type Key = ();

    fn build(&self, (): &()) -> Resource {
        self.build_with(&mut EncodedRoutes::default())
    }
}

impl OutboundRoutesUnit {
    /// With what is known of rules that did not change.
    pub(super) fn build_with(&self, known: &mut EncodedRoutes) -> Resource {
        let frame = RouteConfiguration {
            name: names::OUTBOUND_HTTP.to_owned(),
            ..RouteConfiguration::default()
        };
        let hosts: Vec<_> = self
            .ports
            .iter()
            .map(|OutboundPort { port, table }| Host {
                head: VirtualHost {
                    name: port.to_string(),
                    domains: domains(port, &self.cluster_domain),
                    ..VirtualHost::default()
                },
                routes: mesh_routes(port, table.as_deref()),
            })
            .collect();
        known.resource(&frame, &hosts, Scope::Clients, Vec::new())
    }
}

/// What stands in the Host header of requests to the port: the names that cluster DNS answers from any namespace.
fn domains(port: &ServicePortKey, cluster_domain: &str) -> Vec<String> {
    let service = &port.service;
    let number = port.port.get();
    let short = format!("{}.{}", service.name, service.namespace);
    let names = [
        format!("{short}.svc.{cluster_domain}"),
        format!("{short}.svc"),
        short,
    ];
    let bare = (number == HTTP_PORT).then_some(&names);
    let with_port = names.iter().map(|name| format!("{name}:{number}"));
    bare.into_iter()
        .flatten()
        .cloned()
        .chain(with_port)
        .collect()
}
