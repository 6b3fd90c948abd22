//! The pods of this node.

use std::{collections::BTreeMap, fmt, net::IpAddr, sync::Arc};

use heddle_identity::{Namespace, SpiffeId};
use heddle_routing::policy::Rbac;

/// Namespace and name of a pod. Prints as `shop/cart-7d4`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    /// metadata.namespace.
    pub namespace: Namespace,
    /// metadata.name.
    pub name: Arc<str>,
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// metadata.uid: unlike a name or an address, never used again.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PodUid(pub Arc<str>);

/// A pod of this node that is in the mesh: whom to serve, and what is allowed.
#[derive(Clone, Debug)]
pub struct PodConfig {
    /// Namespace and name.
    pub name: PodName,
    /// Its uid.
    pub uid: PodUid,
    /// Who it is.
    pub identity: SpiffeId,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Plain text is taken too. `false`: only mutual TLS.
    pub permissive: bool,
    /// NetworkPolicy on what it receives.
    pub ingress: NetworkPolicy,
    /// NetworkPolicy on what it sends; the pod is the source.
    pub egress: NetworkPolicy,
    /// AuthorizationPolicy. `None`: nobody is refused.
    pub authorization: Option<Arc<Rbac>>,
    /// Ports whose bytes are read as HTTP on arrival.
    pub http_ports: BTreeMap<u16, InboundHttp>,
}

/// The effect of the NetworkPolicies that select a pod in one direction.
#[derive(Clone, Debug)]
pub enum NetworkPolicy {
    /// None selects it: everything is allowed.
    Open,
    /// Only what the rules allow.
    Isolated {
        /// Names of the policies, for refusals: `NetworkPolicy production/my-api`.
        by: Vec<Arc<str>>,
        /// The rules.
        rules: Arc<Rbac>,
    },
}

/// What to do with HTTP on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundHttp {
    /// Tell the application who calls, in `x-forwarded-client-cert` (always removed from what clients send).
    pub forward_identity: bool,
}
