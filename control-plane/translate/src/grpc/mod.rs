//! What gRPC's own xDS clients and servers get (role `grpc`): a view of its own, since gRPC knows less than Envoy (gRFC A27 and those after it), and
//! refuses as a whole what it does not know.
//!
//! Listener, RouteConfiguration and Cluster of a Service port bear the name of the target, `cart.shop.svc.cluster.local:80`; its endpoints are those
//! of every other view. A server's listeners bear its pod's name and the address that it listens on.

mod clients;
mod routes;
mod security;
mod servers;

pub(crate) use clients::{GrpcClusterUnit, GrpcListenerUnit};
pub(crate) use routes::GrpcRoutesUnit;
pub(crate) use servers::{GrpcServerKey, GrpcServerUnit};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use heddle_model::{
    AddressSet, AddressSetName, AppProtocol, Backend, Enrolment, Isolation, Mesh, NetworkRule,
    Peer, RouteAction, RouteTable, RouteTableKey, ServiceKey, ServicePortKey, SpiffeId, Transport,
    Workload,
};

/// What clients name: `xds:///cart.shop.svc.cluster.local:80`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Target {
    /// The Service's port.
    port: ServicePortKey,
    /// DNS suffix of Services.
    cluster_domain: Arc<str>,
}

impl Target {
    /// Another port of the same cluster.
    fn beside(&self, port: &ServicePortKey) -> Self {
        Self {
            port: port.clone(),
            cluster_domain: Arc::clone(&self.cluster_domain),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ServicePortKey { service, port, .. } = &self.port;
        let (name, namespace) = (&service.name, &service.namespace);
        write!(f, "{name}.{namespace}.svc.{}:{port}", self.cluster_domain)
    }
}

/// The pods whose own gRPC library speaks xDS, by address.
pub(crate) struct GrpcPods<'a>(BTreeMap<IpAddr, &'a Arc<Workload>>);

impl<'a> GrpcPods<'a> {
    pub(crate) fn of(mesh: &'a Mesh) -> Self {
        let workloads = mesh.workloads.values();
        let of_grpc = workloads.filter(|workload| workload.enrolment == Enrolment::Grpc);
        let by_address = of_grpc.flat_map(|workload| {
            let addresses = workload.addresses.iter();
            addresses.map(move |address| (*address, workload))
        });
        Self(by_address.collect())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who answers at a port's endpoints in mutual TLS.
    fn identities(&self, mesh: &Mesh, port: &ServicePortKey) -> BTreeSet<SpiffeId> {
        let endpoints = mesh.endpoints.get(port).filter(|_| !self.is_empty());
        let endpoints = endpoints.into_iter().flat_map(|all| &all.endpoints);
        endpoints
            .filter_map(|endpoint| self.0.get(&endpoint.address))
            .map(|workload| workload.spiffe_id(&mesh.trust_domain))
            .collect()
    }
}

/// The TCP ports of Services, with what is spoken there.
fn targets(mesh: &Mesh) -> impl Iterator<Item = (Target, AppProtocol)> {
    let ports = crate::translator::ports(mesh);
    let of_tcp = ports.filter(|(key, ..)| key.transport == Transport::Tcp);
    of_tcp.map(|(port, _, of_service)| {
        let target = Target {
            port,
            cluster_domain: Arc::clone(&mesh.cluster_domain),
        };
        (target, of_service.protocol)
    })
}

/// Those on which gRPC may be spoken, as far as is known.
fn routed(mesh: &Mesh) -> impl Iterator<Item = Target> {
    let routed = targets(mesh).filter(|(_, protocol)| *protocol != AppProtocol::Opaque);
    routed.map(|(target, _)| target)
}

pub(crate) fn listeners(mesh: &Mesh) -> impl Iterator<Item = (Target, GrpcListenerUnit)> {
    routed(mesh).map(|target| (target, GrpcListenerUnit))
}

pub(crate) fn routes(mesh: &Mesh) -> impl Iterator<Item = (Target, GrpcRoutesUnit)> {
    routed(mesh).map(|target| {
        // Which namespace a client is of plays no part: consumer routes are for node proxies.
        let general = RouteTableKey {
            port: target.port.clone(),
            consumer: None,
        };
        let table = mesh.routes.get(&general).cloned();
        let hashed = hash_headers(mesh, &target.port, table.as_deref());
        (target, GrpcRoutesUnit { table, hashed })
    })
}

/// The header that the calls to each Service are spread by, of those that a table forwards to, where there is one.
fn hash_headers(
    mesh: &Mesh,
    own: &ServicePortKey,
    table: Option<&RouteTable>,
) -> BTreeMap<ServiceKey, Arc<str>> {
    let rules = table.into_iter().flat_map(|table| &table.rules);
    let backends = rules.flat_map(|rule| match &rule.action {
        RouteAction::Forward { backends, .. } => &backends[..],
        _ => &[],
    });
    let services = backends.filter_map(|weighted| match &weighted.backend {
        Backend::Service(port) => Some(&port.service),
        Backend::Invalid { .. } => None,
    });
    let header = |key: &ServiceKey| {
        let header = mesh.services.get(key)?.clients.hash_header.clone()?;
        Some((key.clone(), header))
    };
    let own = table.is_none().then_some(&own.service);
    services.chain(own).filter_map(header).collect()
}

pub(crate) fn clusters<'a>(
    mesh: &'a Mesh,
    pods: &'a GrpcPods<'_>,
) -> impl Iterator<Item = (Target, GrpcClusterUnit)> + use<'a> {
    targets(mesh).map(|(target, _)| {
        let identities = pods.identities(mesh, &target.port);
        let service = mesh.services.get(&target.port.service);
        let settings = service.map(|service| service.clients.clone());
        let unit = GrpcClusterUnit {
            identities,
            settings: settings.unwrap_or_default(),
        };
        (target, unit)
    })
}

/// For each port that a Service reaches a pod at, and each address that a server may have been told to listen on: which one it was, nobody
/// knows before it asks, and the name that it asks for has the address in it.
pub(crate) fn servers(mesh: &Mesh, pods: &GrpcPods<'_>) -> BTreeMap<GrpcServerKey, GrpcServerUnit> {
    let mut servers = BTreeMap::new();
    if pods.is_empty() {
        return servers;
    }
    let of_tcp = mesh
        .endpoints
        .values()
        .filter(|endpoints| endpoints.key.transport == Transport::Tcp);
    for endpoint in of_tcp.flat_map(|endpoints| &endpoints.endpoints) {
        let Some(workload) = pods.0.get(&endpoint.address) else {
            continue;
        };
        let Some(policy) = mesh.policies.get(&workload.key) else {
            continue;
        };
        let anywhere = [
            IpAddr::from(Ipv4Addr::UNSPECIFIED),
            Ipv6Addr::UNSPECIFIED.into(),
        ];
        for address in anywhere.iter().chain(&workload.addresses) {
            let key = GrpcServerKey {
                pod: workload.key.clone(),
                listens: SocketAddr::new(*address, endpoint.port.get()),
            };
            let unit = || GrpcServerUnit {
                identity: workload.spiffe_id(&mesh.trust_domain),
                policy: Arc::clone(policy),
                sets: sets(mesh, &policy.ingress),
            };
            servers.entry(key).or_insert_with(unit);
        }
    }
    servers
}

/// What the selectors in rules mean at present: gRPC has no word for a set that lives beside the rules.
fn sets(mesh: &Mesh, isolation: &Isolation) -> BTreeMap<AddressSetName, Arc<AddressSet>> {
    let rules: &[NetworkRule] = match isolation {
        Isolation::Open => &[],
        Isolation::Isolated { rules, .. } => rules,
    };
    let peers = rules.iter().flat_map(|rule| rule.peers.iter().flatten());
    let named = peers.filter_map(|peer| match peer {
        Peer::Pods(name) => Some(name),
        Peer::Block { .. } => None,
    });
    named
        .filter_map(|name| Some((name.clone(), Arc::clone(mesh.address_sets.get(name)?))))
        .collect()
}
