//! Services and their ports.

use std::{net::IpAddr, sync::Arc};

use crate::{PortNumber, ServiceKey, ServicePortKey, Transport};

/// A Kubernetes Service.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Service {
    /// Namespace and name.
    pub key: ServiceKey,
    /// How clients reach it.
    pub kind: ServiceKind,
    /// Its ports, sorted by (port, transport). Empty for ExternalName.
    pub ports: Vec<ServicePort>,
}

/// How clients reach a Service.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum ServiceKind {
    /// At one or two virtual addresses (spec.clusterIPs).
    ClusterIp {
        /// One for each family, the primary first.
        addresses: Vec<IpAddr>,
    },
    /// At the addresses of its pods (spec.clusterIP: None).
    Headless,
    /// Somewhere else: a DNS alias (spec.externalName), lower case, without the final dot.
    ExternalName {
        /// The name that clients are sent to.
        hostname: Arc<str>,
    },
}

/// One port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ServicePort {
    /// spec.ports[].name; absent where the Service has only one port and gives it none.
    pub name: Option<Arc<str>>,
    /// spec.ports[].port.
    pub port: PortNumber,
    /// spec.ports[].protocol.
    pub transport: Transport,
    /// What is spoken there.
    pub protocol: AppProtocol,
}

impl Service {
    /// The key of one of its ports.
    pub fn port_key(&self, port: &ServicePort) -> ServicePortKey {
        ServicePortKey {
            service: self.key.clone(),
            port: port.port,
            transport: port.transport,
        }
    }
}

/// What is spoken on a port: from `appProtocol`, else from the port's name (`http`, `http-admin`, `grpc-...`, `tcp-...`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum AppProtocol {
    /// Nothing is said: look at the first bytes, but never make a server that speaks first wait.
    Detect,
    /// HTTP/1.1, and HTTP/2 for clients that speak it (`http`, `kubernetes.io/ws`).
    Http,
    /// HTTP/2 without TLS, also to the server (`kubernetes.io/h2c`, `http2`, `grpc`).
    Http2,
    /// Bytes that nobody looks at (`tcp`, `tls`, `https`, `kubernetes.io/wss`, names of databases).
    Opaque,
}
