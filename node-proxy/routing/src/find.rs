//! From a host and a request to a route.

use std::sync::Arc;

use http::request::Parts;

use crate::{Domain, Route, RouteTable, VirtualHost};

impl RouteTable {
    /// The route for a request to `host` (a Host header or `:authority`; case and port do not matter).
    ///
    /// The virtual host is searched as in Envoy (route.v3.VirtualHost.domains): exact, longest suffix, longest prefix,
    /// any. Only the one found is asked, its routes in order; if none matches, there is no route, even if another
    /// virtual host would have one.
    pub fn find(&self, host: &str, request: &Parts) -> Option<&Arc<Route>> {
        self.virtual_host(host)?
            .routes
            .iter()
            .find(|route| route.matches.matches(request))
    }

    /// The virtual host for a host.
    pub fn virtual_host(&self, host: &str) -> Option<&VirtualHost> {
        let host = host_without_port(host);
        let mut best: Option<(Rank, &VirtualHost)> = None;
        for virtual_host in &self.virtual_hosts {
            for domain in &virtual_host.domains {
                let Some(rank) = domain.rank(host) else {
                    continue;
                };
                // Of equal ranks the first counts (two equal domains: refused by Envoy, settled here).
                if best.as_ref().is_none_or(|(known, _)| rank > *known) {
                    best = Some((rank, virtual_host));
                }
            }
        }
        best.map(|(_, virtual_host)| virtual_host)
    }
}

/// How well a domain fits a host: the later variant wins, then the longer pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Any,
    Prefix(usize),
    Suffix(usize),
    Exact,
}

impl Domain {
    fn rank(&self, host: &str) -> Option<Rank> {
        let host = host.as_bytes();
        match self {
            Self::Any => Some(Rank::Any),
            Self::Exact(name) => host
                .eq_ignore_ascii_case(name.as_bytes())
                .then_some(Rank::Exact),
            Self::Suffix(suffix) => {
                let start = host.len().checked_sub(suffix.len()).filter(|at| *at > 0)?;
                host[start..]
                    .eq_ignore_ascii_case(suffix.as_bytes())
                    .then_some(Rank::Suffix(suffix.len()))
            }
            Self::Prefix(prefix) => {
                let start = host.get(..prefix.len())?;
                (host.len() > prefix.len() && start.eq_ignore_ascii_case(prefix.as_bytes()))
                    .then_some(Rank::Prefix(prefix.len()))
            }
        }
    }
}

/// The host of a Host header or `:authority` (RFC 9110 section 7.2) without its port; IPv6 addresses keep their
/// brackets.
pub fn host_without_port(host: &str) -> &str {
    if host.starts_with('[') {
        return match host.find(']') {
            Some(end) => &host[..=end],
            None => host,
        };
    }
    match host.rsplit_once(':') {
        // A second colon: an IPv6 address without brackets, which has no port.
        Some((name, port)) if !name.contains(':') && port.bytes().all(|c| c.is_ascii_digit()) => {
            name
        }
        _ => host,
    }
}
