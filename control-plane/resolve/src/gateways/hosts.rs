//! Host names of listeners and routes.

use std::sync::Arc;

use heddle_model::HostMatch;

use crate::{names::is_dns_subdomain, routes::HostRank};

/// Reads a `hostname`: a name, or `*.` and a name. Not an address, and nothing with a port.
pub(crate) fn parse(text: &str) -> Option<HostMatch> {
    let lower = text.to_ascii_lowercase();
    let (name, wildcard) = match lower.strip_prefix("*.") {
        Some(suffix) => (suffix, true),
        None => (lower.as_str(), false),
    };
    if !is_dns_subdomain(name) || name.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let name = Arc::from(name);
    Some(if wildcard {
        HostMatch::Wildcard(name)
    } else {
        HostMatch::Exact(name)
    })
}

/// The hosts that both mean; `None`: there is none. Of two that overlap one always contains the other.
pub(super) fn intersection(a: &HostMatch, b: &HostMatch) -> Option<HostMatch> {
    if covers(a, b) {
        Some(b.clone())
    } else if covers(b, a) {
        Some(a.clone())
    } else {
        None
    }
}

/// Whether every host that `narrow` means is meant by `wide` too.
pub(super) fn covers(wide: &HostMatch, narrow: &HostMatch) -> bool {
    match (wide, narrow) {
        (HostMatch::Any, _) => true,
        (_, HostMatch::Any) => false,
        (HostMatch::Exact(a), HostMatch::Exact(b)) => a == b,
        (HostMatch::Exact(_), HostMatch::Wildcard(_)) => false,
        // At least one label stands before the dot: `*.example.com` does not mean `example.com`.
        (HostMatch::Wildcard(suffix), HostMatch::Exact(name)) => is_below(name, suffix),
        (HostMatch::Wildcard(wide), HostMatch::Wildcard(narrow)) => {
            wide == narrow || is_below(narrow, wide)
        }
    }
}

/// All hosts that cover this one: itself, the wildcards above it, and any.
pub(super) fn covering(host: &HostMatch) -> Vec<HostMatch> {
    let mut wide = vec![host.clone()];
    if let HostMatch::Exact(name) | HostMatch::Wildcard(name) = host {
        let dots = name.match_indices('.').filter(|(at, _)| *at > 0);
        let above = dots.filter_map(|(at, _)| name.get(at + 1..));
        wide.extend(above.map(|suffix| HostMatch::Wildcard(suffix.into())));
        wide.push(HostMatch::Any);
    }
    wide
}

fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix)
        .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1)
}

/// (characters of a name without wildcard, characters): the greater goes first (HTTPRouteSpec.hostnames).
pub(super) fn specificity(host: &HostMatch) -> HostRank {
    match host {
        HostMatch::Exact(name) => (name.len(), name.len()),
        HostMatch::Wildcard(suffix) => (0, suffix.len() + 2),
        HostMatch::Any => (0, 0),
    }
}

#[cfg(test)]
mod tests;
