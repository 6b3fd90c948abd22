//! One resource, encoded once.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use heddle_proto::{Message, varint};

use crate::Scope;

/// Characters of a version.
const VERSION_LENGTH: usize = 16;

/// Tags of `envoy.service.discovery.v3.Resource`: a field's number, and that it has a length.
mod tag {
    pub(super) const VERSION: u8 = 1 << 3 | 2;
    pub(super) const RESOURCE: u8 = 2 << 3 | 2;
    pub(super) const NAME: u8 = 3 << 3 | 2;
    /// Of the `google.protobuf.Any` in it.
    pub(super) const TYPE_URL: u8 = 1 << 3 | 2;
    pub(super) const VALUE: u8 = 2 << 3 | 2;
}

/// Type URL of a resource: one of `heddle_proto::type_url`.
pub type TypeUrl = &'static str;

/// Version of a resource: a hash of its content, so that it changes if and only if the content does, on every replica
/// of the control plane alike.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Arc<str>);

impl Version {
    fn of(body: &[u8]) -> Self {
        Self(blake3::hash(body).to_hex()[..VERSION_LENGTH].into())
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

/// An xDS resource. Its three encodings are one piece of memory: each is a part of the next.
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
        Self::of_pieces(type_url, name, scope, origin, &[&message.encode_to_vec()])
    }

    /// Puts an encoded message together: its bytes are these pieces one after the other. They must be what [`new`](Self::new) would
    /// encode, or equal content would get different versions.
    pub fn of_pieces(
        type_url: TypeUrl,
        name: impl Into<Arc<str>>,
        scope: Scope,
        origin: Vec<Arc<str>>,
        pieces: &[&[u8]],
    ) -> Self {
        let name = name.into();
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let of_type = 1 + varint::length(type_url.len()) + type_url.len();
        let of_any = of_type + 1 + varint::length(length) + length;
        let before = 2 + VERSION_LENGTH + 1 + varint::length(of_any);
        let after = 1 + varint::length(name.len()) + name.len();

        let mut delta = Vec::with_capacity(before + of_any + after);
        delta.extend([tag::VERSION, VERSION_LENGTH as u8]);
        // Known only when the body is there.
        let version_at = delta.len()..delta.len() + VERSION_LENGTH;
        delta.extend([0; VERSION_LENGTH]);
        delta.push(tag::RESOURCE);
        varint::put(of_any, &mut delta);
        let any_at = delta.len()..delta.len() + of_any;
        delta.push(tag::TYPE_URL);
        varint::put(type_url.len(), &mut delta);
        delta.extend(type_url.as_bytes());
        delta.push(tag::VALUE);
        varint::put(length, &mut delta);
        let body_at = delta.len()..delta.len() + length;
        for piece in pieces {
            delta.extend_from_slice(piece);
        }
        delta.push(tag::NAME);
        varint::put(name.len(), &mut delta);
        delta.extend(name.as_bytes());

        let version = Version::of(&delta[body_at.clone()]);
        delta[version_at].copy_from_slice(version.as_str().as_bytes());
        let delta = Bytes::from(delta);
        Self {
            type_url,
            name,
            version,
            scope,
            origin,
            body: delta.slice(body_at),
            any: delta.slice(any_at),
            delta,
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
