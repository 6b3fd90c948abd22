//! What the proxy tells the application about a request's way.

use std::{cell::RefCell, net::IpAddr};

use heddle_telemetry::Direction;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{Entry, OccupiedEntry},
    uri::Scheme,
};

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
    let known = headers.entry(FORWARDED_FOR);
    if (matches!(known, Entry::Vacant(_)) || direction == Direction::Gateway)
        && let Some(address) = text_of(client)
    {
        match known {
            Entry::Occupied(known) => append_address(known, address),
            Entry::Vacant(place) => _ = place.insert(address),
        }
    }
    let proto = match *scheme == Scheme::HTTPS {
        true => HeaderValue::from_static("https"),
        false => HeaderValue::from_static("http"),
    };
    headers.entry(FORWARDED_PROTO).or_insert(proto);
    if let Entry::Vacant(place) = headers.entry(REQUEST_ID)
        && let Ok(id) = HeaderValue::from_bytes(&request_id(random))
    {
        place.insert(id);
    }
}

/// An address as a header's value. One client sends many requests on a connection, so the last one is kept.
fn text_of(client: IpAddr) -> Option<HeaderValue> {
    thread_local!(static LAST: RefCell<Option<(IpAddr, HeaderValue)>> = RefCell::default());
    LAST.with_borrow_mut(|last| {
        if let Some((address, text)) = last
            && *address == client
        {
            return Some(text.clone());
        }
        let text = HeaderValue::try_from(client.to_canonical().to_string()).ok()?;
        *last = Some((client, text.clone()));
        Some(text)
    })
}

fn append_address(mut known: OccupiedEntry<'_, HeaderValue>, address: HeaderValue) {
    // One line, because some readers look at the first one only.
    let mut all: Vec<u8> = Vec::new();
    for value in known.iter() {
        all.extend_from_slice(value.as_bytes());
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(address.as_bytes());
    known.insert(HeaderValue::from_bytes(&all).unwrap_or(address));
}

/// A random UUID (RFC 9562 section 5.4, version 4), as text.
fn request_id(random: u128) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    /// Where the two digits of each byte stand: 8-4-4-4-12.
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let bits = (random & !(0xf000 << 64) & !(0xc000 << 48)) | (0x4000 << 64) | (0x8000 << 48);
    let mut out = [b'-'; 36];
    for (byte, place) in bits.to_be_bytes().into_iter().zip(PLACES) {
        out[place] = DIGITS[usize::from(byte >> 4)];
        out[place + 1] = DIGITS[usize::from(byte & 0xf)];
    }
    out
}
