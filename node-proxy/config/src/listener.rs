//! Listeners for traffic that pods send, and those on the node's own addresses.

use std::{net::SocketAddr, sync::Arc};

use heddle_identity::Namespace;
use heddle_routing::{ClusterName, WeightedClusters};

use crate::ServerTls;

/// What to do with connections that a pod opens to a Service's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundListener {
    /// Its xDS name: `shop/cart:80`.
    pub name: Arc<str>,
    /// Only for clients of this namespace.
    pub client_namespace: Option<Namespace>,
    /// The Service's addresses with the port.
    pub addresses: Vec<SocketAddr>,
    /// What is spoken.
    pub protocol: OutboundProtocol,
}

/// What is spoken on a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutboundProtocol {
    /// HTTP/1.1 or HTTP/2; routed by the named route table.
    Http {
        /// RouteConfiguration.
        routes: Arc<str>,
    },
    /// Bytes.
    Opaque {
        /// Where to.
        cluster: ClusterName,
    },
    /// HTTP if the first bytes say so, else bytes; the server may speak first.
    Detect {
        /// RouteConfiguration for HTTP.
        routes: Arc<str>,
        /// Where to with everything else.
        cluster: ClusterName,
    },
}

/// A listener that the proxy opens on the node's own addresses: a Gateway's, or one of a control plane that is not Heddle's.
#[derive(Clone, Debug)]
pub struct BoundListener {
    /// Its xDS name: `gateway/infra/web/http`.
    pub name: Arc<str>,
    /// Where it listens, in the node's network namespace (a Gateway's: `0.0.0.0:port`).
    pub address: SocketAddr,
    /// What is spoken.
    pub protocol: BoundProtocol,
    /// `None`: plain text. Else connections are taken while [`ProxyConfig::server_tls`](crate::ProxyConfig::server_tls) has its part.
    pub tls: Option<Arc<ServerTls>>,
    /// A Gateway's. Several of those may share an address.
    pub is_gateways: bool,
}

/// What is spoken on a bound listener.
#[derive(Clone, Debug)]
pub enum BoundProtocol {
    /// HTTP/1.1 or HTTP/2; routed by the named route table.
    Http {
        /// RouteConfiguration.
        routes: Arc<str>,
    },
    /// Bytes; each connection goes to one of the clusters, by weight.
    Opaque {
        /// Where to. All of them have names.
        clusters: Arc<WeightedClusters>,
    },
}
