//! For which host a request is: settled once, then the same in the URI and in the Host header.

use std::{cell::RefCell, net::SocketAddr};

use http::{
    HeaderValue, Uri, Version,
    header::HOST,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

/// In the extensions of a request whose client speaks TLS with this proxy: its scheme is `https`.
#[derive(Clone, Copy, Debug)]
pub struct OverTls;

/// A request whose host cannot be told, or could be told in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadAuthority {
    /// RFC 9112 section 3.2, RFC 9113 section 8.3.1.
    #[error("the request names no host")]
    Absent,
    /// RFC 9112 section 3.2.
    #[error("the request has more than one Host header")]
    Several,
    /// RFC 9110 section 7.2.
    #[error("the request's host is not valid")]
    Invalid,
    /// RFC 9113 section 8.3.1.
    #[error("the request's :authority and Host header differ")]
    Contradiction,
    /// RFC 9112 sections 3.2.2 and 3.2.3: a host alone is CONNECT's target, and other schemes are not served here.
    #[error("the request's target is neither a path nor an http or https URL")]
    Target,
}

/// Settles the host of a request: afterwards its URI is absolute and its Host header says the same.
///
/// HTTP/1.0 requests may lack a host; they are for `default`, the address that the client connected to.
pub(crate) fn settle(parts: &mut Parts, default: SocketAddr) -> Result<(), BadAuthority> {
    let authority = authority(parts, default)?;
    // Almost always it says so already.
    if parts
        .headers
        .get(HOST)
        .is_none_or(|host| host.as_bytes() != authority.as_str().as_bytes())
    {
        // An authority is made of visible ASCII, so it always is a header value.
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| BadAuthority::Invalid)?;
        parts.headers.insert(HOST, host);
    }
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    let path = uri
        .path_and_query
        .take()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = absolute(scheme_of(parts), authority, path)?;
    Ok(())
}

/// Gives a request with a settled host another one, in both places.
pub(crate) fn replace(parts: &mut Parts, host: &str) -> Result<(), BadAuthority> {
    let authority = parse(host.as_bytes())?;
    let value = HeaderValue::from_str(host).map_err(|_| BadAuthority::Invalid)?;
    let path = parts
        .uri
        .path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"));
    parts.uri = absolute(scheme_of(parts), authority, path)?;
    parts.headers.insert(HOST, value);
    Ok(())
}

/// Gives a request with a settled host another path.
pub(crate) fn replace_path(parts: &mut Parts, path: PathAndQuery) {
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(path);
    // Scheme and authority were there before, so nothing can be missing.
    if let Ok(uri) = Uri::from_parts(uri) {
        parts.uri = uri;
    }
}

/// By which scheme a request came: not what the client says, but what its connection is.
pub(crate) fn scheme_of(parts: &Parts) -> Scheme {
    match parts.extensions.get() {
        Some(OverTls) => Scheme::HTTPS,
        None => Scheme::HTTP,
    }
}

fn absolute(scheme: Scheme, authority: Authority, path: PathAndQuery) -> Result<Uri, BadAuthority> {
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(scheme);
    uri.authority = Some(authority);
    uri.path_and_query = Some(path);
    Uri::from_parts(uri).map_err(|_| BadAuthority::Invalid)
}

fn authority(parts: &Parts, default: SocketAddr) -> Result<Authority, BadAuthority> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(BadAuthority::Several);
    }
    if let Some(target) = parts.uri.authority() {
        return from_target(parts, target, host);
    }
    match host {
        Some(host) => parse_again(host.as_bytes()),
        // RFC 9112 section 3.2 asks for one of HTTP/1.1 only.
        None if parts.version <= Version::HTTP_10 => parse(default.to_string().as_bytes()),
        None => Err(BadAuthority::Absent),
    }
}

/// The authority of `:authority` or of the absolute form, which wins over the Host header (RFC 9112 section 3.2.2).
fn from_target(
    parts: &Parts,
    target: &Authority,
    host: Option<&HeaderValue>,
) -> Result<Authority, BadAuthority> {
    if !matches!(parts.uri.scheme_str(), Some("http" | "https")) {
        return Err(BadAuthority::Target);
    }
    if parts.version == Version::HTTP_11 && host.is_none() {
        return Err(BadAuthority::Absent);
    }
    let differs = |host: &HeaderValue| {
        !host
            .as_bytes()
            .eq_ignore_ascii_case(target.as_str().as_bytes())
    };
    if parts.version >= Version::HTTP_2 && host.is_some_and(differs) {
        return Err(BadAuthority::Contradiction);
    }
    parse_again(target.as_str().as_bytes())
}

/// One client sends many requests for the same host, so the last one is kept.
fn parse_again(host: &[u8]) -> Result<Authority, BadAuthority> {
    thread_local!(static LAST: RefCell<Option<Authority>> = RefCell::default());
    LAST.with_borrow_mut(|last| {
        if let Some(known) = last
            && known.as_str().as_bytes() == host
        {
            return Ok(known.clone());
        }
        let authority = parse(host)?;
        *last = Some(authority.clone());
        Ok(authority)
    })
}

fn parse(host: &[u8]) -> Result<Authority, BadAuthority> {
    let authority = Authority::try_from(host).map_err(|_| BadAuthority::Invalid)?;
    let port_is_number = match authority.as_str().rsplit_once(':') {
        Some((_, port)) if !authority.as_str().ends_with(']') => {
            port.is_empty() || authority.port_u16().is_some()
        }
        _ => true,
    };
    // RFC 9110 section 4.2.4: no user information.
    if authority.as_str().contains('@') || authority.host().is_empty() || !port_is_number {
        return Err(BadAuthority::Invalid);
    }
    Ok(authority)
}
