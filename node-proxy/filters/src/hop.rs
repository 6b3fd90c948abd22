//! Headers that belong to one connection, not to the message (RFC 9110 section 7.6.1).

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// The protocol that a request wants to change to, if it is one that can be passed on.
///
/// `h2c` is not: it is between two neighbours, and deprecated (RFC 9113 section 3.1).
pub(crate) fn wanted_upgrade(parts: &Parts) -> Option<HeaderValue> {
    if parts.version != Version::HTTP_11
        || !parts.headers.contains_key(UPGRADE)
        || !names(&parts.headers).any(|name| name == "upgrade")
    {
        return None;
    }
    let upgrade = parts.headers.get(UPGRADE)?;
    let h2c = |token: &[u8]| token.trim_ascii().eq_ignore_ascii_case(b"h2c");
    if upgrade.as_bytes().split(|byte| *byte == b',').any(h2c) {
        return None;
    }
    Some(upgrade.clone())
}

/// What is removed always.
const OF_CONNECTION: [HeaderName; 6] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HTTP2_SETTINGS,
];

/// Removes what belongs to the connection. `te: trailers` stays, because gRPC asks for it end to end.
pub(crate) fn remove(headers: &mut HeaderMap) {
    // Most messages have none of them: one look at each header is less work than seven searches.
    if !headers
        .keys()
        .any(|name| *name == TE || OF_CONNECTION.contains(name))
    {
        return;
    }
    let nominated: Vec<HeaderName> = names(headers)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        // A client may not have these removed: they say where the message goes and where it ends.
        .filter(|name| *name != HOST && *name != TE && *name != http::header::CONTENT_LENGTH)
        .collect();
    for name in nominated {
        headers.remove(name);
    }
    for name in OF_CONNECTION {
        headers.remove(name);
    }
    let trailers = headers
        .get_all(TE)
        .iter()
        .any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    headers.remove(TE);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Puts back what an upgrade needs.
pub(crate) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

fn names(headers: &HeaderMap) -> impl Iterator<Item = String> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
}
