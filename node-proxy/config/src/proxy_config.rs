//! Everything the data path needs to know, at one moment.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use foldhash::{HashMap, HashSet};
use heddle_identity::Namespace;
use heddle_routing::{ClusterName, RouteTable, policy::AddressSets};

use crate::{
    BoundListener, Cluster, DnsName, DnsRecord, EndpointSet, OutboundListener, PodConfig, PodName,
    Workloads,
};

/// Everything the data path needs to know, at one moment. Immutable; replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct ProxyConfig {
    /// Service addresses, for clients of any namespace.
    pub outbound: HashMap<SocketAddr, Arc<OutboundListener>>,
    /// Service addresses, for clients of one namespace; looked up before `outbound`.
    pub outbound_for: HashMap<(Namespace, SocketAddr), Arc<OutboundListener>>,
    /// The pods of this node that are in the mesh.
    pub pods: BTreeMap<PodName, Arc<PodConfig>>,
    /// Listeners on the node's own addresses, by xDS name.
    pub bound: BTreeMap<Arc<str>, Arc<BoundListener>>,
    /// Where those listen.
    pub bound_addresses: HashSet<SocketAddr>,
    /// How bound listeners that speak TLS do so, by their xDS names.
    pub server_tls: BTreeMap<Arc<str>, Arc<rustls::ServerConfig>>,
    /// Clusters by name.
    pub clusters: HashMap<ClusterName, Arc<Cluster>>,
    /// Endpoints by EDS service name.
    pub endpoints: HashMap<Arc<str>, Arc<EndpointSet>>,
    /// Route tables by name.
    pub routes: HashMap<Arc<str>, Arc<RouteTable>>,
    /// Who is at which address.
    pub workloads: Workloads,
    /// What policies' selectors mean.
    pub address_sets: AddressSets,
    /// Names that are answered here.
    pub dns: HashMap<DnsName, Arc<DnsRecord>>,
    /// The mesh's roots, PEM, several while they rotate. Empty: none yet, nobody can be authenticated.
    pub trust_bundle: Arc<str>,
}

impl ProxyConfig {
    /// The listener for a connection from a pod of `client` to `destination`, if that is a Service's address.
    pub fn outbound_listener(
        &self,
        client: &Namespace,
        destination: SocketAddr,
    ) -> Option<&Arc<OutboundListener>> {
        self.outbound_for
            .get(&(client.clone(), destination))
            .or_else(|| self.outbound.get(&destination))
    }

    /// Whether a connection from the node to `destination` would come in at one of the bound listeners again.
    pub fn leads_back(&self, destination: SocketAddr) -> bool {
        let everywhere: IpAddr = match destination {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let is_bound = |address| self.bound_addresses.contains(&address);
        is_bound(destination)
            || (destination.ip().is_loopback()
                && is_bound(SocketAddr::new(everywhere, destination.port())))
    }

    /// The endpoints of a cluster, if both are known.
    pub fn endpoints_of(&self, cluster: &Cluster) -> Option<&Arc<EndpointSet>> {
        match &cluster.kind {
            crate::ClusterKind::Eds(name) => self.endpoints.get(name),
            crate::ClusterKind::OriginalDestination | crate::ClusterKind::Alias(_) => None,
        }
    }
}

/// The current configuration, shared by all workers: swapped as a whole, read without a lock.
pub type SharedConfig = Arc<arc_swap::ArcSwap<ProxyConfig>>;
