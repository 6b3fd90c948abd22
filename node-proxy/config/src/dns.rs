//! Names that the proxy answers itself.

use std::{net::IpAddr, sync::Arc};

use heddle_routing::ClusterName;

/// A fully qualified name in lower case, without the final dot: `my-api.production.svc.cluster.local`.
pub type DnsName = Arc<str>;

/// What is known about one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsRecord {
    /// The name.
    pub name: DnsName,
    /// What to say.
    pub answer: DnsAnswer,
}

/// What to say about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsAnswer {
    /// These addresses (a ClusterIP Service).
    Addresses(Vec<IpAddr>),
    /// The addresses of a cluster's endpoints (a headless Service); each endpoint's own name lies below this one.
    /// An alias cluster: a CNAME (an ExternalName Service).
    Cluster(ClusterName),
    /// A service (SRV): one answer for each target.
    Service {
        /// The name whose endpoints or addresses are the targets.
        target: DnsName,
        /// The port there.
        port: u16,
    },
}
