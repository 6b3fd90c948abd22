//! Messages of an xDS stream as JSON, in protobuf's canonical mapping (protobuf.dev, "ProtoJSON Format"): lowerCamelCase names, an `Any` as
//! the fields of its message with `@type`.
//!
//! For people and tools that look at configuration; nothing that decides anything reads it. Knows Envoy's types, as far as they stand on
//! our streams, and ours. [`redact`] takes out what must not be shown.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

/// All types.
static TYPES: LazyLock<Result<DescriptorPool, String>> = LazyLock::new(|| {
    let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    DescriptorPool::decode(bytes).map_err(|error| error.to_string())
});

/// What stands where something was taken out.
pub const REDACTED: &str = "[redacted]";

/// Fields that hold secrets: of `Secret`, of inline certificates, of filters that authenticate.
const SECRETS: [&str; 8] = [
    "privateKey",
    "privateKeyProvider",
    "password",
    "pkcs12",
    "sessionTicketKeys",
    "genericSecret",
    "hmacSecret",
    "tokenSecret",
];

/// Why a message cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Its type is not among those that stand on our streams.
    #[error("{0} is not a type that is known here")]
    UnknownType(String),
    /// Its bytes are no such message, or a message in it is of a type that is not known.
    #[error("{type_name}: {problem}")]
    Malformed {
        /// Its type.
        type_name: String,
        /// What is wrong.
        problem: String,
    },
}

/// A message in an `Any`, with its `@type`.
pub fn any(type_url: &str, bytes: &[u8]) -> Result<Value, JsonError> {
    let name = type_url.rsplit('/').next().unwrap_or_default();
    let mut value = message(name, bytes)?;
    if let Value::Object(fields) = &mut value {
        fields.shift_insert(0, "@type".to_owned(), type_url.into());
    }
    Ok(value)
}

/// The same content in the same order each time: maps come in any. What a message is and is called stands first.
fn sort(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(sort);
            let rank = |name: &str| (name != "@type", name != "name");
            let mut sorted: Vec<(String, Value)> = std::mem::take(fields).into_iter().collect();
            sorted.sort_by(|(a, _), (b, _)| (rank(a), a).cmp(&(rank(b), b)));
            fields.extend(sorted);
        }
        Value::Array(items) => items.iter_mut().for_each(sort),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A message of this full name (`envoy.config.listener.v3.Listener`).
pub fn message(name: &str, bytes: &[u8]) -> Result<Value, JsonError> {
    let malformed = |problem: String| JsonError::Malformed {
        type_name: name.to_owned(),
        problem,
    };
    let message = DynamicMessage::decode(descriptor(name)?, bytes)
        .map_err(|error| malformed(error.to_string()))?;
    let options = SerializeOptions::new();
    let mut value = message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| malformed(error.to_string()))?;
    sort(&mut value);
    Ok(value)
}

/// The bytes of a message of this full name that is written as JSON. Fields that are not known are an error.
pub fn bytes(name: &str, json: &Value) -> Result<Vec<u8>, JsonError> {
    DynamicMessage::deserialize(descriptor(name)?, json)
        .map(|message| message.encode_to_vec())
        .map_err(|error| JsonError::Malformed {
            type_name: name.to_owned(),
            problem: error.to_string(),
        })
}

fn descriptor(name: &str) -> Result<MessageDescriptor, JsonError> {
    let types = TYPES.as_ref();
    types
        .ok()
        .and_then(|types| types.get_message_by_name(name))
        .ok_or_else(|| JsonError::UnknownType(name.to_owned()))
}

/// Puts [`REDACTED`] in the place of every key, password and secret, however deep it lies.
pub fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if SECRETS.contains(&name.as_str()) {
                    *field = REDACTED.into();
                } else {
                    redact(field);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
