//! The names that we have the say over.

use std::sync::Arc;

/// The cluster's DNS zone, lower case, without the final dot: `cluster.local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(Arc<str>);

/// Where a name stands relative to the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Not ours: forward.
    Elsewhere,
    /// The zone itself, or `svc.<zone>`: it exists, but holds no address.
    Apex,
    /// `<namespace>.svc.<zone>`.
    Namespace,
    /// Below a namespace.
    Below,
    /// `dns-version.<zone>`.
    Version,
    /// In the zone, but nothing that the specification knows; other servers may (`pod.<zone>`), so it is forwarded.
    Other,
}

impl Zone {
    /// Takes the zone's name in any case, with or without the final dot.
    pub fn new(name: &str) -> Self {
        Self(name.trim_end_matches('.').to_ascii_lowercase().into())
    }

    /// The zone's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a name (lower case, without the final dot) stands.
    pub(crate) fn place(&self, name: &str) -> Place {
        let Some(rest) = strip_suffix_label(name, &self.0) else {
            return Place::Elsewhere;
        };
        match rest {
            "" | "svc" => Place::Apex,
            "dns-version" => Place::Version,
            _ => match rest.strip_suffix(".svc") {
                None => Place::Other,
                Some(labels) if labels.contains('.') => Place::Below,
                Some(_) => Place::Namespace,
            },
        }
    }
}

/// What stands before `.suffix`; empty if the name is the suffix.
fn strip_suffix_label<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    let rest = name.strip_suffix(suffix)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_suffix('.')
}
