//! From a host and a request to a route.

use std::sync::Arc;

use http::request::Parts;

use crate::{Route, RouteTable, VirtualHost};

impl RouteTable {
    /// The route for a request to `host` (a Host header or `:authority`; case and port do not matter).
    ///
    /// The virtual host is searched as in Envoy (route.v3.VirtualHost.domains): exact, longest suffix, longest prefix,
    /// any. Only the one found is asked, its routes in order; if none matches, there is no route, even if another
    /// virtual host would have one.
    pub fn find(&self, host: &str, request: &Parts) -> Option<&Arc<Route>> {
        self.virtual_host(host)?.routes.find(request)
    }

    /// The virtual host for a host.
    pub fn virtual_host(&self, host: &str) -> Option<&VirtualHost> {
        self.virtual_hosts.find(host_without_port(host))
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
