//! What an API server gives to an object, and a folder does not.

use heddle_resources::{Object, ObjectId};

/// Sets `metadata.namespace` and `metadata.uid` where they are absent.
pub(super) fn complete(object: &mut Object, id: &ObjectId) {
    let metadata = object.metadata_mut();
    if id.kind.is_namespaced() && metadata.namespace.is_none() {
        metadata.namespace = Some(id.namespace.to_string());
    }
    if metadata.uid.as_ref().is_none_or(String::is_empty) {
        metadata.uid = Some(uid(id));
    }
}

/// Gives the object the generation that follows that of its last version, and tells whether it is another at all: `None` if nothing but the
/// generation differs.
pub(super) fn succeed(mut object: Object, last: &Object) -> Option<Object> {
    let stated = object.metadata().generation.unwrap_or(1);
    let last_generation = last.metadata().generation;
    object.metadata_mut().generation = last_generation;
    if object == *last {
        return None;
    }
    let next = last_generation.unwrap_or(0).saturating_add(1);
    object.metadata_mut().generation = Some(next.max(stated));
    Some(object)
}

/// Sets the first generation of a new object.
pub(super) fn begin(mut object: Object) -> Object {
    let metadata = object.metadata_mut();
    metadata.generation.get_or_insert(1);
    object
}

/// A UUID (RFC 9562, version 8) that is a hash of what the object is called: the same after a restart and on every replica.
fn uid(id: &ObjectId) -> String {
    let hash = blake3::hash(id.to_string().as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    bytes[6] = 0x80 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}
