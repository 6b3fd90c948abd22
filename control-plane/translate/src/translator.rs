//! The whole mesh, one update at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_model::{
    AppProtocol, Enrolment, Mesh, PodKey, RouteTable, RouteTableKey, Service, ServiceKey,
    ServiceKind, ServicePort, ServicePortKey, Transport,
};
use heddle_snapshot::{Placement, Scope, Snapshot};

use crate::{
    address_sets::AddressSetUnit,
    clusters::{AliasClusterUnit, LocalClusterUnit, ServiceClusterUnit},
    dns::DnsUnit,
    endpoints::EndpointsUnit,
    envoy::Edition,
    grpc::{self, GrpcClusterUnit, GrpcListenerUnit, GrpcPods, GrpcRoutesUnit, GrpcServerUnit},
    listeners::{GatewayListenerUnit, OutboundListenerUnit, PodListenerUnit, Reading},
    memo::Memo,
    resources::Resources,
    routes::{EncodedRoutes, GatewayRoutesUnit, GrpcPorts, MeshRoutesUnit},
    secrets::TrustBundleUnit,
    seen::{Changes, Endpoints, Seen},
    workloads::{NodeWorkloadUnit, PodWorkloadUnit},
};

/// Translates a mesh that changes, and remembers what it made of each entry.
#[derive(Debug, Default)]
pub struct Translator {
    memos: Memos,
    resources: Resources,
    seen: Seen,
    placement: Arc<Placement>,
    grpc: GrpcPorts,
    encoded: EncodedRoutes,
    envoy: Edition,
    snapshot: Arc<Snapshot>,
}

#[derive(Debug, Default)]
struct Memos {
    services: Memo<ServiceClusterUnit>,
    aliases: Memo<AliasClusterUnit>,
    local: Memo<LocalClusterUnit>,
    endpoints: Memo<EndpointsUnit>,
    outbound: Memo<OutboundListenerUnit>,
    mesh_routes: Memo<MeshRoutesUnit>,
    gateway_listeners: Memo<GatewayListenerUnit>,
    gateway_routes: Memo<GatewayRoutesUnit>,
    pods: Memo<PodListenerUnit>,
    workloads: Memo<PodWorkloadUnit>,
    nodes: Memo<NodeWorkloadUnit>,
    address_sets: Memo<AddressSetUnit>,
    dns: Memo<DnsUnit>,
    trust_bundle: Memo<TrustBundleUnit>,
    grpc_listeners: Memo<GrpcListenerUnit>,
    grpc_routes: Memo<GrpcRoutesUnit>,
    grpc_clusters: Memo<GrpcClusterUnit>,
    grpc_servers: Memo<GrpcServerUnit>,
}

/// What an update gave.
#[derive(Clone, Debug)]
pub struct Update {
    /// All resources now. The same `Arc` as before if nothing changed.
    pub snapshot: Arc<Snapshot>,
    /// How much work it was.
    pub counts: Counts,
    /// The same for the edition that Envoys read.
    pub envoy: Counts,
}

/// How much work an update was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Resources that were encoded again, because an entry that they depend on changed.
    pub encoded: usize,
    /// Resources that are new or say something else than before.
    pub changed: usize,
    /// Resources that are gone.
    pub removed: usize,
}

impl Counts {
    /// Whether clients can see any of it.
    fn is_visible(self) -> bool {
        self.changed + self.removed > 0
    }
}

/// Translates from scratch.
pub fn translate(mesh: &Mesh, trust_bundle: &str) -> Arc<Snapshot> {
    Translator::new().update(mesh, trust_bundle).snapshot
}

impl Translator {
    /// Knows of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the mesh as it is now. `trust_bundle`: the mesh's roots, PEM; while it is empty, no `ROOTCA` is sent.
    pub fn update(&mut self, mesh: &Mesh, trust_bundle: &str) -> Update {
        let changes = self.seen.take_in(mesh);
        if changes.routing {
            self.grpc = GrpcPorts::of(mesh);
        }
        let encoded = self.services(mesh, &changes)
            + self.gateways(mesh, &changes)
            + self.pods(mesh, &changes)
            + self.grpc(mesh, &changes)
            + self.trust_bundle(trust_bundle);
        let counts = self.resources.counts(encoded);
        let moved = changes.workloads && self.follow_workloads(mesh);
        let envoy = self
            .envoy
            .update(mesh, &changes, &self.grpc, &mut self.encoded, trust_bundle);
        if changes.routing {
            self.encoded.forget();
        }
        if counts.is_visible() || envoy.is_visible() || moved {
            self.snapshot = Arc::new(Snapshot {
                types: self.resources.types(),
                envoy: self.envoy.types(),
                placement: Arc::clone(&self.placement),
            });
        }
        Update {
            snapshot: Arc::clone(&self.snapshot),
            counts,
            envoy,
        }
    }

    fn services(&mut self, mesh: &Mesh, changes: &Changes) -> usize {
        let (memos, resources) = (&mut self.memos, &mut self.resources);
        let mut encoded = 0;
        if changes.services {
            let dns = units(&mesh.services, |service| DnsUnit {
                service,
                cluster_domain: Arc::clone(&mesh.cluster_domain),
            });
            encoded += memos.local.update([((), LocalClusterUnit)], resources)
                + memos.aliases.update(aliases(mesh), resources)
                + memos.dns.update(dns, resources);
        }
        if changes.services || changes.routing {
            let grpc = &self.grpc;
            let clusters = ports(mesh).map(|(key, _, port)| {
                let http2 = grpc.is_http2(&key, port);
                (key, ServiceClusterUnit { http2 })
            });
            let known = &mut self.encoded;
            encoded += memos.services.update(clusters, resources)
                + memos.outbound.update(outbound_listeners(mesh), resources)
                + memos
                    .mesh_routes
                    .update_with(mesh_routes(mesh), resources, |unit, key| {
                        unit.build_with(key, known)
                    });
        }
        let unit = |key: ServicePortKey| {
            let unit = EndpointsUnit(mesh.endpoints.get(&key).cloned());
            (key, unit)
        };
        encoded
            + match &changes.endpoints {
                Endpoints::Of(ports) if !changes.services => {
                    let units = ports.iter().cloned().map(unit);
                    memos.endpoints.refresh(units, resources)
                }
                _ => {
                    let units = ports(mesh).map(|(key, ..)| unit(key));
                    memos.endpoints.update(units, resources)
                }
            }
    }

    fn gateways(&mut self, mesh: &Mesh, changes: &Changes) -> usize {
        if !changes.routing {
            return 0;
        }
        let listeners = units(&mesh.gateways, |listener| GatewayListenerUnit {
            port: listener.port,
        });
        let routes = units(&mesh.gateways, GatewayRoutesUnit);
        let (resources, encoded) = (&mut self.resources, &mut self.encoded);
        self.memos.gateway_listeners.update(listeners, resources)
            + self
                .memos
                .gateway_routes
                .update_with(routes, resources, |unit, key| unit.build_with(key, encoded))
    }

    fn pods(&mut self, mesh: &Mesh, changes: &Changes) -> usize {
        let (memos, resources) = (&mut self.memos, &mut self.resources);
        let mut encoded = 0;
        if changes.workloads {
            let workloads = units(&mesh.workloads, PodWorkloadUnit);
            encoded += memos.workloads.update(workloads, resources);
        }
        if changes.nodes {
            let nodes = units(&mesh.nodes, NodeWorkloadUnit);
            encoded += memos.nodes.update(nodes, resources);
        }
        if changes.address_sets {
            let sets = units(&mesh.address_sets, AddressSetUnit);
            encoded += memos.address_sets.update(sets, resources);
        }
        if changes.workloads || changes.policies {
            encoded += memos.pods.update(pod_listeners(mesh), resources);
        }
        encoded
    }

    fn grpc(&mut self, mesh: &Mesh, changes: &Changes) -> usize {
        let (memos, resources) = (&mut self.memos, &mut self.resources);
        let mut encoded = 0;
        if changes.services {
            encoded += memos
                .grpc_listeners
                .update(grpc::listeners(mesh), resources);
        }
        if changes.services || changes.routing {
            encoded += memos.grpc_routes.update(grpc::routes(mesh), resources);
        }
        // Without such pods, nothing of the rest depends on endpoints.
        let pods = GrpcPods::of(mesh);
        let reached = changes.workloads || (changes.endpoints() && !pods.is_empty());
        if changes.services || reached {
            let clusters = grpc::clusters(mesh, &pods);
            encoded += memos.grpc_clusters.update(clusters, resources);
        }
        if reached || changes.policies || changes.address_sets {
            let servers = grpc::servers(mesh, &pods);
            encoded += memos.grpc_servers.update(servers, resources);
        }
        encoded
    }

    fn trust_bundle(&mut self, pem: &str) -> usize {
        let unit = TrustBundleUnit::of(pem, Scope::Nodes).map(|unit| ((), unit));
        self.memos.trust_bundle.update(unit, &mut self.resources)
    }

    /// Who is where. Returns whether namespaces have pods on other nodes than before.
    fn follow_workloads(&mut self, mesh: &Mesh) -> bool {
        self.envoy.follow_workloads(mesh);
        let placement = placement(mesh);
        if *self.placement == placement {
            return false;
        }
        self.placement = Arc::new(placement);
        true
    }
}

#[cfg(test)]
impl Translator {
    pub(crate) fn known_routes(&self) -> usize {
        self.encoded.counts().0
    }

    pub(crate) fn routes_encoded(&self) -> u64 {
        self.encoded.counts().1
    }
}

/// A unit for each entry.
fn units<K: Clone, V, U>(
    entries: &BTreeMap<K, Arc<V>>,
    unit: impl Fn(Arc<V>) -> U,
) -> impl Iterator<Item = (K, U)> {
    entries
        .iter()
        .map(move |(key, value)| (key.clone(), unit(Arc::clone(value))))
}

/// All ports of Services that have any, in the order of their keys.
pub(crate) fn ports(
    mesh: &Mesh,
) -> impl Iterator<Item = (ServicePortKey, &Arc<Service>, &ServicePort)> {
    mesh.services.values().flat_map(|service| {
        let ports = match service.kind {
            ServiceKind::ClusterIp { .. } | ServiceKind::Headless => &service.ports[..],
            ServiceKind::ExternalName { .. } => &[],
        };
        ports
            .iter()
            .map(move |port| (service.port_key(port), service, port))
    })
}

fn aliases(mesh: &Mesh) -> impl Iterator<Item = (ServiceKey, AliasClusterUnit)> {
    mesh.services.iter().filter_map(|(key, service)| {
        let ServiceKind::ExternalName { hostname } = &service.kind else {
            return None;
        };
        let unit = AliasClusterUnit {
            hostname: Arc::clone(hostname),
        };
        Some((key.clone(), unit))
    })
}

/// The route tables that some listener has use for: for everyone, at every TCP port of a ClusterIP Service, and for the
/// clients of a namespace where a consumer route says so.
pub(crate) fn tables(
    mesh: &Mesh,
) -> impl Iterator<
    Item = (
        RouteTableKey,
        &Service,
        &ServicePort,
        Option<&Arc<RouteTable>>,
    ),
> {
    ports(mesh)
        .filter(|(key, service, _)| {
            key.transport == Transport::Tcp && matches!(service.kind, ServiceKind::ClusterIp { .. })
        })
        .flat_map(move |(port_key, service, port)| {
            let general = RouteTableKey {
                port: port_key,
                consumer: None,
            };
            let consumers = match port.protocol {
                AppProtocol::Opaque => Vec::new(),
                AppProtocol::Detect | AppProtocol::Http | AppProtocol::Http2 => {
                    consumer_tables(mesh, &general)
                }
            };
            let general_table = mesh.routes.get(&general);
            [(general, general_table)]
                .into_iter()
                .chain(consumers)
                .map(move |(key, table)| (key, &**service, port, table))
        })
}

/// The consumer tables of the same port: the keys right behind the general one.
fn consumer_tables<'a>(
    mesh: &'a Mesh,
    general: &RouteTableKey,
) -> Vec<(RouteTableKey, Option<&'a Arc<RouteTable>>)> {
    mesh.routes
        .range(general..)
        .take_while(|(key, _)| key.port == general.port)
        .filter(|(key, _)| key.consumer.is_some())
        .map(|(key, table)| (key.clone(), Some(table)))
        .collect()
}

fn outbound_listeners(mesh: &Mesh) -> impl Iterator<Item = (RouteTableKey, OutboundListenerUnit)> {
    tables(mesh).filter_map(|(key, service, port, table)| {
        let ServiceKind::ClusterIp { addresses } = &service.kind else {
            return None;
        };
        let unit = OutboundListenerUnit {
            addresses: addresses.clone(),
            reading: Reading::of(port.protocol, table.is_some()),
        };
        Some((key, unit))
    })
}

fn mesh_routes(mesh: &Mesh) -> impl Iterator<Item = (RouteTableKey, MeshRoutesUnit)> {
    tables(mesh)
        .filter(|(_, _, port, _)| port.protocol != AppProtocol::Opaque)
        .map(|(key, _, _, table)| (key, MeshRoutesUnit(table.cloned())))
}

/// The pods of the mesh that run somewhere. Also those without an address: a pod gets its address only after its capture stands.
fn pod_listeners(mesh: &Mesh) -> impl Iterator<Item = (PodKey, PodListenerUnit)> {
    mesh.policies.iter().filter_map(|(key, policy)| {
        let workload = mesh.workloads.get(key)?;
        let node = workload.node.as_ref()?;
        let served = workload.enrolment == Enrolment::Mesh && !workload.host_network;
        served.then(|| {
            let unit = PodListenerUnit {
                uid: Arc::clone(&workload.uid),
                addresses: workload.addresses.clone(),
                service_account: workload.service_account.clone(),
                identity: workload.spiffe_id(&mesh.trust_domain),
                node: node.clone(),
                policy: Arc::clone(policy),
            };
            (key.clone(), unit)
        })
    })
}

fn placement(mesh: &Mesh) -> Placement {
    let mut namespaces: BTreeMap<&Arc<str>, BTreeSet<&str>> = BTreeMap::new();
    for workload in mesh.workloads.values() {
        if let (Enrolment::Mesh, Some(node)) = (workload.enrolment, &workload.node) {
            namespaces
                .entry(&node.0)
                .or_default()
                .insert(workload.key.namespace.as_str());
        }
    }
    namespaces
        .into_iter()
        .map(|(node, names)| {
            (
                Arc::clone(node),
                names.into_iter().map(Into::into).collect(),
            )
        })
        .collect()
}
