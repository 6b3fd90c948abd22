//! What stands in a testbed.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// A node: a namespace that forwards for its pods.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name, also its namespace's.
    pub name: String,
    /// In 172.18.0.0/24, not .1 or .2.
    pub address: Ipv4Addr,
    /// Where its pods' addresses come from.
    pub pods: Ipv4Net,
}

/// A pod: a namespace behind a node.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its namespace in Kubernetes' sense.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Name of its node.
    pub node: String,
    /// Out of the node's range.
    pub address: Ipv4Addr,
}

impl Pod {
    /// Name of its network namespace: `production_my-api-0`.
    pub fn netns(&self) -> String {
        format!("{}_{}", self.namespace, self.name)
    }
}
