//! Services and their ports.

use std::{net::IpAddr, num::NonZeroU32, sync::Arc, time::Duration};

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
    /// What is asked of clients that balance by themselves.
    #[serde(skip_serializing_if = "ClientSettings::is_default")]
    pub clients: ClientSettings,
}

/// What is asked of clients that balance by themselves (gRPC's own).
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ClientSettings {
    /// Most requests that one client has open at a time; more fail at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<NonZeroU32>,
    /// Requests with the same value of this header (lower case) go to the same endpoint, as long as the endpoints are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_header: Option<Arc<str>>,
    /// When an endpoint is left alone for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outliers: Option<OutlierDetection>,
}

impl ClientSettings {
    /// Whether nothing is asked.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When an endpoint is left alone for a while: too many of the requests to it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OutlierDetection {
    /// It is if more than this share failed, in percent, 1 to 100.
    pub failure_percentage: u8,
    /// For how long requests are counted.
    pub interval: Duration,
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
