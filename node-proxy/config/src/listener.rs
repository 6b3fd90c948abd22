//! Listeners for traffic that pods send, and for traffic from outside.

use std::{net::SocketAddr, sync::Arc};

use heddle_identity::Namespace;
use heddle_routing::ClusterName;

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

/// A Gateway's listener, served on the node's own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayListener {
    /// Its xDS name: `gateway/infra/web/http`.
    pub name: Arc<str>,
    /// Where it listens (usually `0.0.0.0:port`).
    pub address: SocketAddr,
    /// RouteConfiguration.
    pub routes: Arc<str>,
}
