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
        let mut grpc = BTreeSet::new();
        let mut http = BTreeSet::new();
        for (key, table) in &mesh.routes {
            for rule in &table.rules {
                let ports = if is_grpc(rule) { &mut grpc } else { &mut http };
                ports.insert(&key.port);
                ports.extend(backends(rule));
            }
        }
        let hosts = mesh.gateways.values().flat_map(|listener| &listener.hosts);
        for rule in hosts.flat_map(|host| &host.rules) {
            let ports = if is_grpc(rule) { &mut grpc } else { &mut http };
            ports.extend(backends(rule));
        }
        Self(grpc.difference(&http).map(|&key| key.clone()).collect())
    }

    /// Whether HTTP/2 is spoken to a port, whatever the client speaks: it is declared, or the port is one of these.
    pub(crate) fn is_http2(&self, key: &ServicePortKey, port: &ServicePort) -> bool {
        port.protocol == AppProtocol::Http2 || self.0.contains(key)
    }
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
