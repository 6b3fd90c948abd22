//! Whether a request fulfils a route's conditions.

use std::borrow::Cow;

use http::request::Parts;

use crate::{HeaderMatcher, PathMatcher, RouteMatch, StringMatcher, query};

impl RouteMatch {
    /// Whether all conditions hold.
    pub fn matches(&self, request: &Parts) -> bool {
        self.path.matches(request.uri.path())
            && self.headers.iter().all(|header| header.matches(request))
            && query::match_all(&self.query, request.uri.query())
    }
}

impl PathMatcher {
    /// Whether a path (without the query) fulfils the condition, byte for byte as it was sent.
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Prefix(prefix) => path.starts_with(&**prefix),
            Self::ElementPrefix(prefix) => {
                // A slash at the end says nothing: `/foo/` means the element `foo`, as `/foo` does.
                let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
                path.strip_prefix(prefix)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            Self::Exact(exact) => path == &**exact,
            Self::Regex(regex) => regex.is_match(path),
        }
    }
}

impl StringMatcher {
    /// Whether a value fulfils the condition.
    pub fn matches(&self, value: &str) -> bool {
        self.matches_bytes(value.as_bytes())
    }

    /// Whether a value fulfils the condition. A regular expression does not match what is not UTF-8.
    pub fn matches_bytes(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => value == exact.as_bytes(),
            Self::Prefix(prefix) => value.starts_with(prefix.as_bytes()),
            Self::Suffix(suffix) => value.ends_with(suffix.as_bytes()),
            Self::Contains(part) => contains(value, part.as_bytes()),
            Self::Regex(regex) => std::str::from_utf8(value).is_ok_and(|text| regex.is_match(text)),
        }
    }
}

fn contains(value: &[u8], part: &[u8]) -> bool {
    part.is_empty() || value.windows(part.len()).any(|window| window == part)
}

impl HeaderMatcher {
    /// Whether a request fulfils the condition.
    pub fn matches(&self, request: &Parts) -> bool {
        match (&self.value, self.value_of(request)) {
            (None, value) => value.is_some() != self.invert,
            (Some(_), None) => false,
            (Some(matcher), Some(value)) => matcher.matches_bytes(&value) != self.invert,
        }
    }

    /// The header's value, several joined with `,`; `None`: absent.
    pub(crate) fn value_of<'a>(&self, request: &'a Parts) -> Option<Cow<'a, [u8]>> {
        let borrowed = |text: &'a str| Cow::Borrowed(text.as_bytes());
        match &*self.name {
            ":method" => Some(borrowed(request.method.as_str())),
            ":authority" | "host" => request_host(request).map(borrowed),
            ":scheme" => request.uri.scheme_str().map(borrowed),
            ":path" => request
                .uri
                .path_and_query()
                .map(|path| borrowed(path.as_str())),
            name => joined(request, name),
        }
    }
}

fn joined<'a>(request: &'a Parts, name: &str) -> Option<Cow<'a, [u8]>> {
    let mut values = request.headers.get_all(name).iter();
    let first = Cow::Borrowed(values.next()?.as_bytes());
    Some(values.fold(first, |mut all, value| {
        let bytes = all.to_mut();
        bytes.push(b',');
        bytes.extend_from_slice(value.as_bytes());
        all
    }))
}

/// The host that a request is for, port included: `:authority` or the absolute form's, else the Host header
/// (RFC 9112 section 3.2.2). `None`: it names none, or its Host header is not visible ASCII.
pub fn request_host(request: &Parts) -> Option<&str> {
    match request.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => request.headers.get(http::header::HOST)?.to_str().ok(),
    }
}
