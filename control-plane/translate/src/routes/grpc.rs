//! Which Service ports speak gRPC, because a GRPCRoute says so.

use std::collections::BTreeSet;

use heddle_model::{
    AppProtocol, Backend, Mesh, ObjectKind, RouteAction, RouteRule, ServicePort, ServicePortKey,
};

/// Ports that get requests by a GRPCRoute and by no HTTPRoute. gRPC is HTTP/2 and nothing else, so the proxy need not
/// ask what the client speaks; where an HTTPRoute sends requests too, it goes by the client.
#[derive(Debug, Default)]
pub(crate) struct GrpcPorts(BTreeSet<ServicePortKey>);

impl GrpcPorts {
    /// Looks through all routes.
    pub(crate) fn of(mesh: &Mesh) -> Self {
        let mut ports = BTreeSet::new();
        for (own, rule) in rules(mesh).filter(|(_, rule)| is_grpc(rule)) {
            ports.extend(own.into_iter().chain(backends(rule)));
        }
        if ports.is_empty() {
            return Self::default();
        }
        for (own, rule) in rules(mesh).filter(|(_, rule)| !is_grpc(rule)) {
            for port in own.into_iter().chain(backends(rule)) {
                ports.remove(port);
            }
        }
        Self(ports.into_iter().cloned().collect())
    }

    /// Whether HTTP/2 is spoken to a port, whatever the client speaks: it is declared, or the port is one of these.
    pub(crate) fn is_http2(&self, key: &ServicePortKey, port: &ServicePort) -> bool {
        port.protocol == AppProtocol::Http2 || self.0.contains(key)
    }
}

/// All rules, those of a Service with its port.
fn rules(mesh: &Mesh) -> impl Iterator<Item = (Option<&ServicePortKey>, &RouteRule)> {
    let of_mesh = mesh.routes.iter().flat_map(|(key, table)| {
        let rules = table.rules.iter();
        rules.map(|rule| (Some(&key.port), &**rule))
    });
    let hosts = mesh.gateways.values().flat_map(|listener| &listener.hosts);
    let of_gateways = hosts.flat_map(|host| &host.rules);
    of_mesh.chain(of_gateways.map(|rule| (None, &**rule)))
}

fn is_grpc(rule: &RouteRule) -> bool {
    rule.origin.route.kind == ObjectKind::GRPCRoute
}

fn backends(rule: &RouteRule) -> impl Iterator<Item = &ServicePortKey> {
    let backends = match &rule.action {
        RouteAction::Forward { backends, .. } => &backends[..],
        RouteAction::Redirect(_) | RouteAction::Respond { .. } => &[],
    };
    backends
        .iter()
        .filter_map(|weighted| match &weighted.backend {
            Backend::Service(port) => Some(port),
            Backend::Invalid { .. } => None,
        })
}
