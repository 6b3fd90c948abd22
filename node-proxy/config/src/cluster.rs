//! Clusters and their endpoints.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use heddle_routing::ClusterName;

use crate::ClusterTls;

/// A group of endpoints that serve the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its xDS name: `shop/cart:80`.
    pub name: ClusterName,
    /// Where its endpoints come from.
    pub kind: ClusterKind,
    /// How HTTP requests are sent to it.
    pub http: UpstreamHttp,
    /// Limit for one attempt to connect.
    pub connect_timeout: Duration,
    /// Whether its endpoints are spoken to by TLS, inside of whatever leads to them.
    pub tls: ClusterTls,
}

/// Where a cluster's endpoints come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterKind {
    /// From EDS, under this service name.
    Eds(Arc<str>),
    /// The address that the client asked for.
    OriginalDestination,
    /// A DNS name (an ExternalName Service); answered as CNAME, never dialled by the proxy.
    Alias(Arc<str>),
}

/// How HTTP requests are sent to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamHttp {
    /// As the client speaks (`use_downstream_protocol_config`).
    AsClient,
    /// HTTP/1.1 (`explicit_http_config.http_protocol_options`).
    Http1,
    /// HTTP/2 with prior knowledge (`explicit_http_config.http2_protocol_options`).
    Http2,
}

/// The endpoints of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSet {
    /// In the order in which they were sent.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether it is meant to get new connections.
    pub health: EndpointHealth,
    /// Its own DNS name under a headless Service (`postgres-0`).
    pub hostname: Option<Arc<str>>,
    /// Relative share, 1 and up.
    pub weight: u32,
}

/// Whether an endpoint is meant to get new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointHealth {
    /// Yes.
    Healthy,
    /// Only if nothing is healthy.
    Draining,
}
