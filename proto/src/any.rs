//! `google.protobuf.Any` in and out.

use prost::{Message, Name};

use crate::google::protobuf::Any;

/// Why an `Any` could not be read as the wanted message.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It holds another message.
    #[error("expected {expected}, found {found}")]
    TypeUrl {
        /// The type URL that the reader wanted.
        expected: String,
        /// The type URL that the sender wrote.
        found: String,
    },
    /// Its bytes are no such message: truncated, or of another schema.
    #[error("malformed {type_url}: {source}")]
    Malformed {
        /// The type URL that the sender wrote.
        type_url: String,
        /// What the decoder met.
        source: prost::DecodeError,
    },
}

/// Packs a message with its canonical type URL.
pub fn pack<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: M::type_url(),
        value: message.encode_to_vec(),
    }
}

/// Unpacks a message, refusing any other type. Only the part of the type URL after the last slash counts
/// (protobuf's `any.proto`: the host part is not significant).
pub fn unpack<M: Message + Name + Default>(any: &Any) -> Result<M, UnpackError> {
    let found = any.type_url.rsplit('/').next().unwrap_or_default();
    if found != M::full_name() {
        return Err(UnpackError::TypeUrl {
            expected: M::type_url(),
            found: any.type_url.clone(),
        });
    }
    M::decode(any.value.as_slice()).map_err(|source| UnpackError::Malformed {
        type_url: any.type_url.clone(),
        source,
    })
}
