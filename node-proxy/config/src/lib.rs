//! The proxy's configuration: what it was told over xDS, validated, in its own words.
//!
//! [`decode`] turns one xDS resource into one value and refuses what it does not understand (a NACK for that resource
//! alone); [`Store`] keeps the values and publishes an immutable [`ProxyConfig`] whole. The data path reads that and
//! never sees protobuf. No sockets here; the one file it writes is the last good configuration ([`last_good`]).

mod cluster;
pub mod decode;
mod dns;
pub mod last_good;
mod listener;
mod pod;
mod proxy_config;
mod referenced;
mod store;
mod tls;
mod workload;

pub use cluster::{Cluster, ClusterKind, Endpoint, EndpointHealth, EndpointSet, UpstreamHttp};
pub use dns::{DnsAnswer, DnsName, DnsRecord};
pub use heddle_proto::{Nack, Update};
pub use heddle_routing::ClusterName;
pub use listener::{BoundListener, BoundProtocol, OutboundListener, OutboundProtocol};
pub use pod::{InboundHttp, NetworkPolicy, PodConfig, PodName, PodUid};
pub use proxy_config::{ProxyConfig, SharedConfig};
pub use referenced::Referenced;
pub use store::Store;
pub use tls::{
    Certificate, ClientTls, ClusterTls, Inside, NameMatcher, ServerTls, Trust, UpstreamTls,
};
pub use workload::{NodeAddresses, Tunnel, Workload, Workloads};

#[cfg(test)]
mod testing;
