//! Heads of requests and responses.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use httparse::{Header, ParserConfig, Status};

/// Header lines of a head.
pub const MOST_LINES: usize = 100;

/// What is not HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// RFC 9112 sections 3, 4 and 5.
    #[error("malformed head: {0}")]
    Head(#[from] httparse::Error),
    /// A name, value, method or target that the parser takes and the rest of the program does not.
    #[error("malformed head")]
    Field,
    /// RFC 9112 section 6.3.
    #[error("the Content-Length is no number, or there are several")]
    Length,
    /// RFC 9112 section 7.1.
    #[error("malformed chunk")]
    Chunk,
    /// More than its reader is willing to hold.
    #[error("too many bytes in a head, in trailers or in a chunk's extensions")]
    TooLarge,
}

/// What a client asks for.
#[derive(Debug)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// HTTP/1.0 or 1.1.
    pub version: Version,
    /// The header lines.
    pub headers: HeaderMap,
}

/// How a server answers.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The reason, if it is not the status' usual one.
    pub reason: Option<Bytes>,
    /// HTTP/1.0 or 1.1.
    pub version: Version,
    /// The header lines.
    pub headers: HeaderMap,
}

/// Header lines that are added to a request on its way: whose it is, how it came, its name. With room for them its map does not grow.
const ADDED_LINES: usize = 4;

const NO_LINE: MaybeUninit<Header<'_>> = MaybeUninit::uninit();

/// Reads the head at the beginning of these bytes, and tells its length. `None`: it is not there whole yet.
///
/// # Errors
/// It is malformed.
pub fn request_head(bytes: &Bytes) -> Result<Option<(RequestHead, usize)>, Malformed> {
    let mut lines = [NO_LINE; MOST_LINES];
    let mut raw = httparse::Request::new(&mut []);
    let parsed =
        ParserConfig::default().parse_request_with_uninit_headers(&mut raw, bytes, &mut lines)?;
    let Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let (Some(method), Some(path), Some(version)) = (raw.method, raw.path, raw.version) else {
        return Err(Malformed::Field);
    };
    let head = RequestHead {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| Malformed::Field)?,
        uri: Uri::from_maybe_shared(bytes.slice_ref(path.as_bytes()))
            .map_err(|_| Malformed::Field)?,
        version: version_of(version),
        headers: headers(bytes, raw.headers, ADDED_LINES)?,
    };
    Ok(Some((head, length)))
}

/// Reads the head at the beginning of these bytes, and tells its length. `None`: it is not there whole yet.
///
/// # Errors
/// It is malformed.
pub fn response_head(bytes: &Bytes) -> Result<Option<(ResponseHead, usize)>, Malformed> {
    let mut lines = [NO_LINE; MOST_LINES];
    let mut raw = httparse::Response::new(&mut []);
    let parsed =
        ParserConfig::default().parse_response_with_uninit_headers(&mut raw, bytes, &mut lines)?;
    let Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let (Some(code), Some(version)) = (raw.code, raw.version) else {
        return Err(Malformed::Field);
    };
    let status = StatusCode::from_u16(code).map_err(|_| Malformed::Field)?;
    let reason = raw.reason.unwrap_or_default();
    let usual = status.canonical_reason() == Some(reason) || reason.is_empty();
    let head = ResponseHead {
        status,
        reason: (!usual).then(|| bytes.slice_ref(reason.as_bytes())),
        version: version_of(version),
        headers: headers(bytes, raw.headers, 0)?,
    };
    Ok(Some((head, length)))
}

fn version_of(minor: u8) -> Version {
    match minor {
        0 => Version::HTTP_10,
        _ => Version::HTTP_11,
    }
}

/// Values share the memory of `bytes`. There is room for some `added` lines.
pub(crate) fn headers(
    bytes: &Bytes,
    lines: &[Header<'_>],
    added: usize,
) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(lines.len() + added);
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Malformed::Field)?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value))
            .map_err(|_| Malformed::Field)?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// The body's length, if the head tells it. Equal ones may be repeated (RFC 9110 section 8.6).
///
/// # Errors
/// It is no number, or there are different ones.
pub fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut known = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let digits = value.as_bytes();
        let length = digits
            .iter()
            .try_fold(0_u64, |sum, byte| {
                let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
                sum.checked_mul(10)?.checked_add(digit)
            })
            .filter(|_| !digits.is_empty())
            .ok_or(Malformed::Length)?;
        if known.replace(length).is_some_and(|before| before != length) {
            return Err(Malformed::Length);
        }
    }
    Ok(known)
}

/// Whether the last transfer coding is `chunked`; `None`: there is no transfer coding (RFC 9112 section 6.1).
pub fn is_chunked(headers: &HeaderMap) -> Option<bool> {
    let last = headers.get_all(TRANSFER_ENCODING).iter().next_back()?;
    let coding = last.as_bytes().rsplit(|byte| *byte == b',').next();
    Some(coding.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(b"chunked")))
}
