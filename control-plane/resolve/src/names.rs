//! Names, numbers and addresses as Kubernetes writes them.

use std::{net::IpAddr, ops::Bound, sync::Arc};

use heddle_model::{Namespace, ObjectKey, PortNumber, Transport};
use heddle_resources::{Kind, ObjectId};

/// Namespace and name as they are written, valid or not: the key of [`Namespaced`].
pub(crate) type RawKey = (Arc<str>, Arc<str>);

/// The objects of one namespace.
pub(crate) fn in_namespace<'a, V>(
    map: &'a std::collections::BTreeMap<RawKey, V>,
    namespace: &Arc<str>,
) -> impl Iterator<Item = (&'a RawKey, &'a V)> {
    let namespace = namespace.clone();
    let first = (namespace.clone(), Arc::<str>::from(""));
    map.range((Bound::Included(first), Bound::Unbounded))
        .take_while(move |((of, _), _)| *of == namespace)
}

/// The id of a namespaced object.
pub(crate) fn id(kind: Kind, key: &RawKey) -> ObjectId {
    ObjectId {
        kind,
        namespace: key.0.clone(),
        name: key.1.clone(),
    }
}

/// The id of a cluster-wide object.
pub(crate) fn cluster_id(kind: Kind, name: &Arc<str>) -> ObjectId {
    ObjectId {
        kind,
        namespace: Arc::from(""),
        name: name.clone(),
    }
}

/// A key that may stand in the model: both names are what Kubernetes accepts. The error is (field, message).
pub(crate) fn object_key(key: &RawKey) -> Result<ObjectKey, (&'static str, String)> {
    let namespace = Namespace::new(&key.0).map_err(|error| {
        (
            "metadata.namespace",
            format!("{error}; the object is left out"),
        )
    })?;
    if !is_dns_subdomain(&key.1) {
        let message = format!(
            "{} is not a name (RFC 1123 subdomain); the object is left out",
            excerpt(&key.1)
        );
        return Err(("metadata.name", message));
    }
    Ok(ObjectKey::new(namespace, key.1.clone()))
}

/// RFC 1123 label: 1 to 63 of `a-z 0-9 -`, no dash at the ends.
pub(crate) fn is_dns_label(value: &str) -> bool {
    let bytes = value.as_bytes();
    let edge = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if edge(first) && edge(last))
        && bytes.len() <= 63
        && bytes.iter().all(|c| edge(c) || *c == b'-')
}

/// RFC 1123 subdomain: labels with dots between, at most 253 characters.
pub(crate) fn is_dns_subdomain(value: &str) -> bool {
    // Kubernetes limits the whole name, not its labels.
    let edge = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    value.len() <= 253
        && value.split('.').all(|label| {
            let bytes = label.as_bytes();
            matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if edge(first) && edge(last))
                && bytes.iter().all(|c| edge(c) || *c == b'-')
        })
}

/// A port number, 1 to 65535.
pub(crate) fn port_number(value: i32) -> Option<PortNumber> {
    u16::try_from(value).ok().and_then(PortNumber::new)
}

/// A `protocol` field; absent means TCP.
pub(crate) fn transport(value: Option<&str>) -> Option<Transport> {
    match value {
        None | Some("TCP") => Some(Transport::Tcp),
        Some("UDP") => Some(Transport::Udp),
        Some("SCTP") => Some(Transport::Sctp),
        Some(_) => None,
    }
}

/// `TCP`, `UDP` or `SCTP`.
pub(crate) fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Sctp => "SCTP",
    }
}

/// An address of a pod, a node or a Service.
pub(crate) fn address(value: &str) -> Option<IpAddr> {
    value
        .parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

/// A user's text for a message: quoted, without control characters, at most 80 characters of it.
pub(crate) fn excerpt(value: &str) -> String {
    let mut short: String = value.chars().take(80).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// The message for a number that is no port.
pub(crate) fn no_port(value: i32) -> String {
    format!("{value} is not a port (1 to 65535)")
}
