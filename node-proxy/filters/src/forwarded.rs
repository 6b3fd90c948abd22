//! What the proxy tells the application about a request's way.

use std::{fmt::Write as _, net::IpAddr};

use heddle_telemetry::Direction;
use http::{HeaderMap, HeaderName, HeaderValue, uri::Scheme};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The header that names a request in all logs.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sets `x-forwarded-for`, `x-forwarded-proto` and `x-request-id` where they are absent. A Gateway adds the client's
/// address to an `x-forwarded-for` that is there: the last entry is then always true.
pub(crate) fn set(
    headers: &mut HeaderMap,
    scheme: &Scheme,
    direction: Direction,
    client: IpAddr,
    random: u128,
) {
    if let Ok(address) = HeaderValue::try_from(client.to_canonical().to_string()) {
        match direction {
            Direction::Gateway => append_address(headers, address),
            Direction::Outbound | Direction::Inbound => {
                headers.entry(FORWARDED_FOR).or_insert(address);
            }
        }
    }
    let proto = match *scheme == Scheme::HTTPS {
        true => HeaderValue::from_static("https"),
        false => HeaderValue::from_static("http"),
    };
    headers.entry(FORWARDED_PROTO).or_insert(proto);
    if !headers.contains_key(REQUEST_ID)
        && let Ok(id) = HeaderValue::try_from(request_id(random))
    {
        headers.insert(REQUEST_ID, id);
    }
}

fn append_address(headers: &mut HeaderMap, address: HeaderValue) {
    // One line, because some readers look at the first one only.
    let mut all: Vec<u8> = Vec::new();
    for value in headers.get_all(FORWARDED_FOR) {
        all.extend_from_slice(value.as_bytes());
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(address.as_bytes());
    headers.insert(
        FORWARDED_FOR,
        HeaderValue::from_bytes(&all).unwrap_or(address),
    );
}

/// A random UUID (RFC 9562 section 5.4, version 4).
fn request_id(random: u128) -> String {
    let bits = (random & !(0xf000 << 64) & !(0xc000 << 48)) | (0x4000 << 64) | (0x8000 << 48);
    let hex = format!("{bits:032x}");
    let mut out = String::with_capacity(36);
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        // Writing to a String cannot fail.
        let _ = out.write_char(digit);
    }
    out
}
