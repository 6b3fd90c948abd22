//! What things are called. A key is also how the thing is named in xDS, in logs and on the command line.

use std::{fmt, num::NonZeroU16, sync::Arc};

use crate::Namespace;

/// A TCP, UDP or SCTP port: 1 to 65535.
pub type PortNumber = NonZeroU16;

/// Transport protocol of a port. The order (TCP first) is the order in output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Transport {
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
    /// SCTP (RFC 9260).
    Sctp,
}

/// Namespace and name of a namespaced object. Prints as `shop/cart`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct ObjectKey {
    /// metadata.namespace.
    pub namespace: Namespace,
    /// metadata.name.
    pub name: Arc<str>,
}

impl ObjectKey {
    /// Puts a key together.
    pub fn new(namespace: Namespace, name: impl Into<Arc<str>>) -> Self {
        Self {
            namespace,
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

macro_rules! display_is_debug_and_string {
    ($($type:ty),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    )*};
}
display_is_debug_and_string!(
    ObjectKey,
    ServicePortKey,
    RouteTableKey,
    GatewayListenerKey,
    NodeName,
    AddressSetName,
    ObjectRef
);

/// A Service.
pub type ServiceKey = ObjectKey;
/// A Pod.
pub type PodKey = ObjectKey;
/// A Gateway.
pub type GatewayKey = ObjectKey;

/// One port of a Service. Prints as `shop/cart:80`, for UDP as `kube-system/kube-dns:53/udp`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct ServicePortKey {
    /// The Service.
    pub service: ServiceKey,
    /// spec.ports[].port: what clients connect to.
    pub port: PortNumber,
    /// spec.ports[].protocol.
    pub transport: Transport,
}

impl fmt::Display for ServicePortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.transport {
            Transport::Tcp => "",
            Transport::Udp => "/udp",
            Transport::Sctp => "/sctp",
        };
        write!(f, "{}:{}{suffix}", self.service, self.port)
    }
}

/// A table of routes for one Service port, general or for the clients of one namespace (a consumer route, GEP-1426).
/// Prints as `shop/cart:80` or `shop/cart:80@checkout`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct RouteTableKey {
    /// The port that clients connect to.
    pub port: ServicePortKey,
    /// Only for clients of this namespace; `None` for everyone else.
    pub consumer: Option<Namespace>,
}

impl fmt::Display for RouteTableKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.consumer {
            None => self.port.fmt(f),
            Some(namespace) => write!(f, "{}@{namespace}", self.port),
        }
    }
}

/// One listener of a Gateway. Prints as `gateway/infra/web/http`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct GatewayListenerKey {
    /// The Gateway.
    pub gateway: GatewayKey,
    /// spec.listeners[].name.
    pub section: Arc<str>,
}

impl fmt::Display for GatewayListenerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gateway/{}/{}", self.gateway, self.section)
    }
}

/// metadata.name of a Node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct NodeName(pub Arc<str>);

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Name of an [`AddressSet`](crate::AddressSet): stable for the same selector, whatever it currently means.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct AddressSetName(pub Arc<str>);

impl fmt::Display for AddressSetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kinds of user objects that a decision can be traced back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[allow(missing_docs, reason = "the names are the kinds")]
pub enum ObjectKind {
    Service,
    HTTPRoute,
    GRPCRoute,
    Gateway,
    NetworkPolicy,
    AuthorizationPolicy,
}

/// A user's object, as refusals and problems name it. Prints as `NetworkPolicy shop/default-deny`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(into = "String")]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace and name.
    pub key: ObjectKey,
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.key)
    }
}
