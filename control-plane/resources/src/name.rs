//! Names of objects: RFC 1123 subdomains or labels, depending on the kind.

use serde_json::Value;

use crate::{Kind, ObjectId, Violation};

/// Which object a document's metadata name. A namespaced object that states no namespace is in `default`.
pub(crate) fn id(kind: Kind, metadata: &Value) -> Result<ObjectId, Violation> {
    let name =
        field(metadata, "name")?.ok_or_else(|| Violation::new("metadata.name", "is missing"))?;
    let is_valid = match kind {
        Kind::Namespace | Kind::Service => is_label(name),
        _ => is_subdomain(name),
    };
    if !is_valid {
        return Err(invalid("metadata.name", name));
    }
    let namespace = match (kind.is_namespaced(), field(metadata, "namespace")?) {
        (false, _) => "",
        (true, None) => "default",
        (true, Some(namespace)) if is_label(namespace) => namespace,
        (true, Some(namespace)) => return Err(invalid("metadata.namespace", namespace)),
    };
    Ok(ObjectId {
        kind,
        namespace: namespace.into(),
        name: name.into(),
    })
}

fn field<'a>(metadata: &'a Value, name: &str) -> Result<Option<&'a str>, Violation> {
    match &metadata[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Violation::new(
            format!("metadata.{name}"),
            "must be a string (put it in quotes)",
        )),
    }
}

fn invalid(field: &str, name: &str) -> Violation {
    let shown: String = name.chars().take(80).collect();
    let message = format!(
        "{shown:?} is not a valid name: lower case letters, digits and - (RFC 1123), not too long"
    );
    Violation::new(field, message)
}

fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    let alphanumeric = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = bytes.first().zip(bytes.last());
    ends.is_some_and(|(first, last)| alphanumeric(*first) && alphanumeric(*last))
        && bytes.iter().all(|c| alphanumeric(*c) || *c == b'-')
}
