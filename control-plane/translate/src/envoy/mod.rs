//! The edition for Envoys: what a plain Envoy needs to serve one Gateway, or to be an outbound HTTP proxy.
//!
//! The same clusters and routes as for node proxies. What a node proxy is told by our own types is said in Envoy's words here: a
//! Gateway's listener is without `ListenerScope`, and instead of a `Workload` each endpoint says itself how it is reached.
//!
//! ```text
//! outbound-http, gateway/infra/web/80 ─▶ routes ─▶ cluster shop/cart:80 ─┬─ outside the mesh ─▶ 10.0.0.7:8080
//!                                                                         └─ mesh ─▶ internal listener hbone/shop/cart
//!     internal listener hbone/shop/cart ─▶ CONNECT 10.244.1.7:8080 in mutual TLS, only to shop/cart's identity ─▶ 10.244.1.7:15008
//! ```

mod clusters;
mod endpoints;
mod hbone;
mod identities;
mod listeners;
mod routes;

use std::sync::Arc;

use heddle_model::{
    AppProtocol, GatewayListener, GatewayListenerKey, Mesh, ServicePortKey, Transport,
};
use heddle_snapshot::{ResourcesByType, Scope};

use self::{
    clusters::ServiceClusterUnit,
    endpoints::EndpointsUnit,
    hbone::{TunnelClusterUnit, TunnelListenerUnit},
    identities::Identities,
    listeners::{GatewayListenerUnit, OutboundListenerUnit},
    routes::{GatewayRoutesUnit, OutboundPort, OutboundRoutesUnit},
};
use crate::{
    memo::Memo,
    resources::Resources,
    routes::{EncodedRoutes, GrpcPorts},
    secrets::TrustBundleUnit,
    seen::{Changes, Endpoints},
    translator::{Counts, ports, tables},
};

/// All resources for Envoys, and what each was made from.
#[derive(Debug, Default)]
pub(crate) struct Edition {
    resources: Resources,
    identities: Identities,
    clusters: Memo<ServiceClusterUnit>,
    endpoints: Memo<EndpointsUnit>,
    tunnel_listeners: Memo<TunnelListenerUnit>,
    tunnel_clusters: Memo<TunnelClusterUnit>,
    gateway_listeners: Memo<GatewayListenerUnit>,
    gateway_routes: Memo<GatewayRoutesUnit>,
    outbound_listener: Memo<OutboundListenerUnit>,
    outbound_routes: Memo<OutboundRoutesUnit>,
    trust_bundle: Memo<TrustBundleUnit>,
}

impl Edition {
    /// Takes in the mesh as it is now.
    pub(crate) fn update(
        &mut self,
        mesh: &Mesh,
        changes: &Changes,
        grpc: &GrpcPorts,
        encoded_routes: &mut EncodedRoutes,
        trust_bundle: &str,
    ) -> Counts {
        let encoded = self.services(mesh, changes, grpc)
            + self.ways_in(mesh, changes, encoded_routes)
            + self.tunnels(changes, trust_bundle);
        self.resources.counts(encoded)
    }

    /// Takes in who is where, before the update of a mesh in which that changed.
    pub(crate) fn follow_workloads(&mut self, mesh: &Mesh) {
        self.identities = Identities::of(mesh);
    }

    /// What streams may see.
    pub(crate) fn types(&self) -> ResourcesByType {
        self.resources.types()
    }

    fn services(&mut self, mesh: &Mesh, changes: &Changes, grpc: &GrpcPorts) -> usize {
        let tcp = || ports(mesh).filter(|(key, ..)| key.transport == Transport::Tcp);
        let resources = &mut self.resources;
        let mut encoded = 0;
        if changes.services || changes.routing {
            let clusters = tcp().map(|(key, _, port)| {
                let http2 = grpc.is_http2(&key, port);
                (key, ServiceClusterUnit { http2 })
            });
            encoded += self.clusters.update(clusters, resources);
        }
        let identities = &self.identities;
        let unit = |key: ServicePortKey| {
            let known = mesh.endpoints.get(&key).cloned();
            (key, EndpointsUnit::new(known, identities))
        };
        encoded
            + match &changes.endpoints {
                Endpoints::Of(ports) if !changes.services && !changes.workloads => {
                    let units = ports.iter().cloned().map(unit);
                    self.endpoints.refresh(units, resources)
                }
                _ => {
                    let units = tcp().map(|(key, ..)| unit(key));
                    self.endpoints.update(units, resources)
                }
            }
    }

    fn ways_in(&mut self, mesh: &Mesh, changes: &Changes, known: &mut EncodedRoutes) -> usize {
        let resources = &mut self.resources;
        let mut encoded = 0;
        if changes.routing {
            let gateways = || mesh.gateways.iter();
            let listeners = gateways()
                .map(|(key, listener)| (by_port(key, listener), gateway_listener(listener)));
            let routes = gateways().map(|(key, listener)| {
                let unit = GatewayRoutesUnit(Arc::clone(listener));
                (by_port(key, listener), unit)
            });
            encoded += self.gateway_listeners.update(listeners, resources)
                + self
                    .gateway_routes
                    .update_with(routes, resources, |unit, key| unit.build_with(key, known));
        }
        if changes.services || changes.routing {
            let outbound = OutboundRoutesUnit {
                cluster_domain: Arc::clone(&mesh.cluster_domain),
                ports: outbound_ports(mesh),
            };
            encoded += self
                .outbound_listener
                .update([((), OutboundListenerUnit)], resources)
                + self
                    .outbound_routes
                    .update_with([((), outbound)], resources, |unit, ()| {
                        unit.build_with(known)
                    });
        }
        encoded
    }

    fn tunnels(&mut self, changes: &Changes, trust_bundle: &str) -> usize {
        let resources = &mut self.resources;
        let roots = TrustBundleUnit::of(trust_bundle, Scope::Envoys).map(|unit| ((), unit));
        let mut encoded = self.trust_bundle.update(roots, resources);
        if changes.workloads {
            let identities = || self.identities.all();
            let clusters = identities().map(|id| (id.clone(), TunnelClusterUnit));
            let listeners = identities().map(|id| (id.clone(), TunnelListenerUnit));
            encoded += self.tunnel_clusters.update(clusters, resources)
                + self.tunnel_listeners.update(listeners, resources);
        }
        encoded
    }
}

fn gateway_listener(listener: &GatewayListener) -> GatewayListenerUnit {
    GatewayListenerUnit {
        port: listener.port,
    }
}

/// Under the number of its port, and not the name of its first listener: when listeners come and go, an Envoy cannot open a port under a
/// new name while it is still open under the old one.
fn by_port(key: &GatewayListenerKey, listener: &GatewayListener) -> GatewayListenerKey {
    GatewayListenerKey {
        gateway: key.gateway.clone(),
        section: listener.port.get().to_string().into(),
    }
}

/// Every port that HTTP may be spoken on, with the routes that all clients get: a consumer's routes are for the pods of a
/// namespace, and an Envoy is none.
fn outbound_ports(mesh: &Mesh) -> Vec<OutboundPort> {
    tables(mesh)
        .filter(|(key, _, port, _)| key.consumer.is_none() && port.protocol != AppProtocol::Opaque)
        .map(|(key, _, _, table)| OutboundPort {
            port: key.port,
            table: table.cloned(),
        })
        .collect()
}
