//! Where a redirect leads.

use http::{HeaderValue, request::Parts};

use crate::{
    PathMatcher, Redirect, RedirectPath, host_without_port, request_host,
    rewrite::{replace_prefix, with_query},
};

impl Redirect {
    /// The Location header for a request whose path `matched` matched, that arrived by `scheme` (`http` or `https`) at
    /// `port`. `None`: neither the redirect nor the request names a host, or the result is no header value.
    pub fn location(
        &self,
        matched: &PathMatcher,
        request: &Parts,
        scheme: &str,
        port: u16,
    ) -> Option<HeaderValue> {
        let new_scheme = self.scheme.as_deref().unwrap_or(scheme);
        let host = match &self.host {
            Some(host) => host,
            None => host_without_port(request_host(request)?),
        };
        let known_port = well_known_port(new_scheme);
        let new_port = match (self.port, &self.scheme) {
            (Some(port), _) => Some(port),
            (None, Some(_)) => known_port,
            (None, None) => Some(port),
        };
        let path = self.path_and_query(matched, request);
        let location = match new_port.filter(|port| Some(*port) != known_port) {
            Some(port) => format!("{new_scheme}://{host}:{port}{path}"),
            None => format!("{new_scheme}://{host}{path}"),
        };
        HeaderValue::from_str(&location).ok()
    }

    fn path_and_query(&self, matched: &PathMatcher, request: &Parts) -> String {
        let old = request.uri.path();
        let path = match &self.path {
            None => old.to_owned(),
            Some(RedirectPath::Full(path)) if path.contains('?') => {
                return rooted(path.to_string());
            }
            Some(RedirectPath::Full(path)) => path.to_string(),
            Some(RedirectPath::Prefix(prefix)) => replace_prefix(matched, old, prefix),
        };
        let query = request.uri.query().filter(|_| !self.strip_query);
        with_query(&rooted(path), query)
    }
}

/// A path that does not begin with `/` would become part of the host's name.
fn rooted(path: String) -> String {
    if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}
