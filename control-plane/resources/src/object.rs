//! One object of any kind that we read.

use std::{fmt, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::{
    AuthorizationPolicy, ConfigMap, EndpointSlice, GRPCRoute, Gateway, GatewayClass, HTTPRoute,
    Namespace, NetworkPolicy, Node, Pod, ReferenceGrant, Secret, Service, ServiceAccount,
};

macro_rules! kinds {
    ($($kind:ident $api_version:literal $scope:ident),* $(,)?) => {
        /// The kinds that we read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names are the kinds")]
        pub enum Kind { $($kind),* }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The kind of an `apiVersion` and `kind`, if it is one that we read. Gateway API's v1beta1 has the same content as
            /// its v1 and stands for it.
            pub fn of(api_version: &str, kind: &str) -> Option<Self> {
                let api_version = match (api_version, kind) {
                    // This kind never had a beta.
                    ("gateway.networking.k8s.io/v1beta1", "GRPCRoute") => return None,
                    ("gateway.networking.k8s.io/v1beta1", _) => "gateway.networking.k8s.io/v1",
                    _ => api_version,
                };
                match (api_version, kind) {
                    $(($api_version, stringify!($kind)) => Some(Self::$kind),)*
                    _ => None,
                }
            }

            /// Its name in YAML.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),* }
            }

            /// Its group and version in YAML.
            pub fn api_version(self) -> &'static str {
                match self { $(Self::$kind => $api_version),* }
            }

            /// Whether its objects live in a namespace.
            pub fn is_namespaced(self) -> bool {
                match self { $(Self::$kind => kinds!(@$scope)),* }
            }
        }

        /// One object of any kind that we read.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs, reason = "the names are the kinds")]
        pub enum Object { $($kind(Arc<$kind>)),* }

        impl Object {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind),* }
            }

            /// Its metadata.
            pub fn metadata(&self) -> &ObjectMeta {
                match self { $(Self::$kind(object) => &object.metadata),* }
            }

            /// Its metadata, to be changed; an object that others hold as well is copied first.
            pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
                match self { $(Self::$kind(object) => &mut Arc::make_mut(object).metadata),* }
            }

            /// Whether both are the same value in memory, which is cheaper to know than whether they are equal.
            pub fn ptr_eq(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$kind(one), Self::$kind(other)) => Arc::ptr_eq(one, other),)*
                    _ => false,
                }
            }

            /// Reads a value of a kind without any check but its types.
            pub(crate) fn from_value(kind: Kind, value: serde_json::Value) -> serde_json::Result<Self> {
                match kind { $(Kind::$kind => serde_json::from_value::<$kind>(value).map(Self::from)),* }
            }
        }

        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Self::$kind(Arc::new(object))
            }
        })*
    };
    (@Namespaced) => { true };
    (@Cluster) => { false };
}

kinds! {
    Namespace "v1" Cluster,
    Node "v1" Cluster,
    Pod "v1" Namespaced,
    ServiceAccount "v1" Namespaced,
    Service "v1" Namespaced,
    EndpointSlice "discovery.k8s.io/v1" Namespaced,
    HTTPRoute "gateway.networking.k8s.io/v1" Namespaced,
    GRPCRoute "gateway.networking.k8s.io/v1" Namespaced,
    ReferenceGrant "gateway.networking.k8s.io/v1" Namespaced,
    GatewayClass "gateway.networking.k8s.io/v1" Cluster,
    Gateway "gateway.networking.k8s.io/v1" Namespaced,
    NetworkPolicy "networking.k8s.io/v1" Namespaced,
    Secret "v1" Namespaced,
    ConfigMap "v1" Namespaced,
    AuthorizationPolicy "heddle.dev/v1alpha1" Namespaced,
}

/// Which object: its kind, namespace (empty for cluster-wide kinds) and name. Prints as `Service shop/cart`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for cluster-wide kinds.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl Object {
    /// Which object it is. A namespaced object that states no namespace is in `default`.
    pub fn id(&self) -> ObjectId {
        let metadata = self.metadata();
        let namespace = match (self.kind().is_namespaced(), &metadata.namespace) {
            (false, _) => "",
            (true, Some(namespace)) => namespace,
            (true, None) => "default",
        };
        ObjectId {
            kind: self.kind(),
            namespace: namespace.into(),
            name: metadata.name.clone().unwrap_or_default().into(),
        }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str();
        if self.namespace.is_empty() {
            write!(f, "{kind} {}", self.name)
        } else {
            write!(f, "{kind} {}/{}", self.namespace, self.name)
        }
    }
}
