//! A request in the form of the protocol that it is sent in.

use heddle_config::UpstreamHttp;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    uri::{Authority, PathAndQuery, Scheme},
};

use http_body::Body as _;

use crate::{Body, RequestError};

/// The protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Http1,
    /// HTTP/1.1 as far as the response to a request that asks for another protocol.
    Upgrade,
    Http2,
}

/// Which protocol a request is sent in.
pub(crate) fn protocol(
    wanted: UpstreamHttp,
    request: &Request<Body>,
) -> Result<Protocol, RequestError> {
    if request.method() == Method::CONNECT {
        return Err(RequestError::Unsendable("CONNECT is not for services"));
    }
    let protocol = match wanted {
        UpstreamHttp::Http1 => Protocol::Http1,
        UpstreamHttp::Http2 => Protocol::Http2,
        UpstreamHttp::AsClient if request.version() == Version::HTTP_2 => Protocol::Http2,
        UpstreamHttp::AsClient => Protocol::Http1,
    };
    match (protocol, is_upgrade(request.headers())) {
        (protocol, false) => Ok(protocol),
        (Protocol::Http1 | Protocol::Upgrade, true) => Ok(Protocol::Upgrade),
        (Protocol::Http2, true) => Err(RequestError::Unsendable(
            "HTTP/2 has no Upgrade (RFC 9113 section 8.6)",
        )),
    }
}

/// Whether the client asks for another protocol on this connection (RFC 9110 section 7.8).
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && connection_options(headers).any(|o| o.eq_ignore_ascii_case("upgrade"))
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Puts a request into the form of a protocol.
pub(crate) fn shape(request: &mut Request<Body>, protocol: Protocol) -> Result<(), RequestError> {
    let upgrade = match protocol {
        Protocol::Upgrade => request.headers().get(UPGRADE).cloned(),
        Protocol::Http1 | Protocol::Http2 => None,
    };
    remove_hop_by_hop(request.headers_mut(), protocol);
    match protocol {
        Protocol::Http1 | Protocol::Upgrade => http1(request)?,
        Protocol::Http2 => http2(request)?,
    }
    if let Some(upgrade) = upgrade {
        let headers = request.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
    Ok(())
}

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// What is removed always.
const OF_CONNECTION: [HeaderName; 5] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// RFC 9110 section 7.6.1: what speaks about one connection does not go on to the next. `TE: trailers` stays where it is allowed
/// without Connection (RFC 9113 section 8.2.2): gRPC needs it.
fn remove_hop_by_hop(headers: &mut HeaderMap, protocol: Protocol) {
    // Most requests have none of them: one look at each header is less work than six searches.
    if !headers
        .keys()
        .any(|name| *name == TE || OF_CONNECTION.contains(name))
    {
        return;
    }
    if headers.contains_key(CONNECTION) {
        let named: Vec<HeaderName> = connection_options(headers)
            .filter_map(|option| option.parse().ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in OF_CONNECTION {
        headers.remove(name);
    }
    let trailers = protocol == Protocol::Http2
        && headers
            .get(TE)
            .is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    if !trailers {
        headers.remove(TE);
    }
}

/// Origin form and Host (RFC 9112 sections 3.2.1 and 3.2).
fn http1(request: &mut Request<Body>) -> Result<(), RequestError> {
    *request.version_mut() = Version::HTTP_11;
    if let Some(authority) = request.uri().authority()
        && !is_host(request.headers(), authority)
    {
        // The target's authority is the one that counts (RFC 9112 section 3.2.2).
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|_| RequestError::Unsendable("the authority is no header value"))?;
        request.headers_mut().insert(HOST, host);
    }
    if request.uri().scheme().is_some() || request.uri().authority().is_some() {
        *request.uri_mut() = Uri::from(path(request.uri()));
    }
    frame(request);
    Ok(())
}

/// Whether the Host header says so already, once.
fn is_host(headers: &HeaderMap, authority: &Authority) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.as_bytes() == authority.as_str().as_bytes(),
        _ => false,
    }
}

/// Says how a body of unknown length ends (RFC 9112 section 6.3). hyper does so for most methods by itself, but takes a GET without any
/// framing for one without a body, and would drop it.
fn frame(request: &mut Request<Body>) {
    let body = request.body();
    let unknown = !body.is_end_stream() && body.size_hint().exact().is_none();
    if unknown && !request.headers().contains_key(CONTENT_LENGTH) {
        let chunked = HeaderValue::from_static("chunked");
        request.headers_mut().insert(TRANSFER_ENCODING, chunked);
    }
}

fn path(uri: &Uri) -> PathAndQuery {
    uri.path_and_query()
        .cloned()
        .unwrap_or_else(|| PathAndQuery::from_static("/"))
}

/// `:scheme` and `:authority`, no Host (RFC 9113 section 8.3.1).
fn http2(request: &mut Request<Body>) -> Result<(), RequestError> {
    *request.version_mut() = Version::HTTP_2;
    let host = request.headers_mut().remove(HOST);
    if request.uri().authority().is_some() && request.uri().scheme().is_some() {
        return Ok(());
    }
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    if parts.authority.is_none() {
        parts.authority = host.map(authority).transpose()?;
    }
    if parts.authority.is_none() {
        return Err(RequestError::Unsendable("the request has no Host"));
    }
    parts.scheme.get_or_insert(Scheme::HTTP);
    parts
        .path_and_query
        .get_or_insert_with(|| PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from_parts(parts)
        .map_err(|_| RequestError::Unsendable("the request's target is malformed"))?;
    Ok(())
}

fn authority(host: HeaderValue) -> Result<Authority, RequestError> {
    Authority::try_from(host.as_bytes())
        .map_err(|_| RequestError::Unsendable("the request's Host is malformed"))
}
