//! Who is at an address.

use std::{net::IpAddr, sync::Arc};

use foldhash::HashMap;
use heddle_identity::SpiffeId;

use crate::{PodName, PodUid};

/// A pod somewhere in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Namespace and name.
    pub name: PodName,
    /// Its uid.
    pub uid: PodUid,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Who it is, if it can prove it.
    pub identity: SpiffeId,
    /// The node it runs on; empty if unknown.
    pub node: Arc<str>,
    /// The zone; empty if unknown.
    pub zone: Arc<str>,
    /// How to reach it.
    pub tunnel: Tunnel,
    /// It shares its node's addresses, which therefore do not tell who it is.
    pub host_network: bool,
    /// The object that made it.
    pub owner: Arc<str>,
    /// For telemetry.
    pub app: Arc<str>,
    /// For telemetry; may be empty.
    pub version: Arc<str>,
}

/// A node and its own addresses: the kubelet's probes come from there, and pods in the node's network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddresses {
    /// Its name.
    pub name: Arc<str>,
    /// Its own addresses.
    pub addresses: Vec<IpAddr>,
    /// The zone; empty if unknown.
    pub zone: Arc<str>,
}

/// How a workload is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// Plain TCP.
    None,
    /// HTTP/2 CONNECT in mutual TLS, port 15008.
    Hbone,
}

/// All workloads, by xDS name and by address.
#[derive(Clone, Debug, Default)]
pub struct Workloads {
    /// By xDS name (`shop/cart-7d4`).
    pub by_name: HashMap<Arc<str>, Arc<Workload>>,
    /// By address; pods in a node's network are left out.
    pub by_address: HashMap<IpAddr, Arc<Workload>>,
    /// Nodes, by name.
    pub nodes: HashMap<Arc<str>, Arc<NodeAddresses>>,
}

impl Workloads {
    /// Who is at an address.
    pub fn at(&self, address: IpAddr) -> Option<&Arc<Workload>> {
        self.by_address.get(&address)
    }

    /// Whether an address is one of a node's own.
    pub fn is_of_node(&self, node: &str, address: IpAddr) -> bool {
        let node = self.nodes.get(node);
        node.is_some_and(|node| node.addresses.contains(&address))
    }
}
