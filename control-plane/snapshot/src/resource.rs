//! One resource, encoded once.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use heddle_proto::{
    Message, envoy::service::discovery::v3::Resource as WireResource, google::protobuf::Any,
};

use crate::Scope;

/// Type URL of a resource: one of `heddle_proto::type_url`.
pub type TypeUrl = &'static str;

/// Version of a resource: a hash of its content, so that it changes if and only if the content does, on every replica
/// of the control plane alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Arc<str>);

impl Version {
    fn of(body: &[u8]) -> Self {
        Self(blake3::hash(body).to_hex()[..16].into())
    }

    /// As it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An xDS resource.
#[derive(Debug)]
pub struct Resource {
    /// What it is.
    pub type_url: TypeUrl,
    /// Its name, unique within its type.
    pub name: Arc<str>,
    /// Hash of its content.
    pub version: Version,
    /// Who may see it.
    pub scope: Scope,
    /// The user's objects it was made from (`HTTPRoute shop/cart`), to which a NACK is reported.
    pub origin: Vec<Arc<str>>,
    /// The encoded message itself.
    pub body: Bytes,
    /// An encoded `google.protobuf.Any` of it: an element of `DiscoveryResponse.resources`.
    pub any: Bytes,
    /// An encoded `envoy.service.discovery.v3.Resource` of it: an element of `DeltaDiscoveryResponse.resources`.
    pub delta: Bytes,
}

impl Resource {
    /// Encodes a message. Its map fields must have at most one entry or be ordered (`BTreeMap`), or else equal content
    /// would get different versions.
    pub fn new(
        type_url: TypeUrl,
        name: impl Into<Arc<str>>,
        scope: Scope,
        origin: Vec<Arc<str>>,
        message: &impl Message,
    ) -> Self {
        let name = name.into();
        let body = message.encode_to_vec();
        let version = Version::of(&body);
        let any = Any {
            type_url: type_url.to_owned(),
            value: body.clone(),
        };
        let delta = WireResource {
            name: name.to_string(),
            version: version.as_str().to_owned(),
            resource: Some(any.clone()),
            ..WireResource::default()
        };
        Self {
            type_url,
            name,
            version,
            scope,
            origin,
            any: any.encode_to_vec().into(),
            delta: delta.encode_to_vec().into(),
            body: body.into(),
        }
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.type_url == other.type_url
            && self.name == other.name
            && self.version == other.version
            && self.scope == other.scope
    }
}
