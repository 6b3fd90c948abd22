//! Heads and bodies, to their bytes.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, Method, StatusCode, Uri,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

use crate::Out;

/// Room for a usual head, so that it is made in one piece of memory.
const USUAL_HEAD: usize = 512;

/// How a body's bytes are framed (RFC 9112 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoder {
    /// So many bytes are still to come.
    Length(u64),
    /// In chunks.
    Chunked,
    /// There is no body, whatever the head says (an answer to HEAD, 204, 304).
    None,
}

/// A body has another length than its head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body has another length than its Content-Length")]
pub struct WrongLength;

/// Writes the head of a request: origin form, HTTP/1.1. With an `encoder` other than [`Encoder::None`], the header line that tells the body's
/// length is added if it is absent.
pub fn write_request(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    encoder: Encoder,
    out: &mut Out,
) {
    let out = start(out);
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    lines(headers, encoder, out);
}

/// Writes the head of a response, HTTP/1.1. With an `encoder` other than [`Encoder::None`], the header line that tells the body's length is
/// added if it is absent.
pub fn write_response(
    status: StatusCode,
    reason: Option<&[u8]>,
    headers: &HeaderMap,
    encoder: Encoder,
    out: &mut Out,
) {
    let out = start(out);
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    let usual = || status.canonical_reason().unwrap_or_default().as_bytes();
    out.extend_from_slice(reason.unwrap_or_else(usual));
    out.extend_from_slice(b"\r\n");
    lines(headers, encoder, out);
}

fn start(out: &mut Out) -> &mut Vec<u8> {
    let out = out.small();
    out.reserve(USUAL_HEAD);
    out
}

fn lines(headers: &HeaderMap, encoder: Encoder, out: &mut Vec<u8>) {
    for (name, value) in headers {
        line(name, value.as_bytes(), out);
    }
    match encoder {
        Encoder::Length(length) if !headers.contains_key(CONTENT_LENGTH) => {
            let mut digits = itoa::Buffer::new();
            line(&CONTENT_LENGTH, digits.format(length).as_bytes(), out);
        }
        Encoder::Chunked if !headers.contains_key(TRANSFER_ENCODING) => {
            line(&TRANSFER_ENCODING, b"chunked", out);
        }
        Encoder::Length(_) | Encoder::Chunked | Encoder::None => {}
    }
    out.extend_from_slice(b"\r\n");
}

fn line(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

impl Encoder {
    /// Whether no more bytes belong to the body, though its end may not have been asked for.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Length(0) | Self::None)
    }

    /// Writes some bytes of the body.
    ///
    /// # Errors
    /// They are more than there may be.
    pub fn data(&mut self, data: Bytes, out: &mut Out) -> Result<(), WrongLength> {
        if data.is_empty() {
            // An empty chunk would be the last one.
            return Ok(());
        }
        match self {
            Self::None => Ok(()),
            Self::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?;
                out.data(data, b"");
                Ok(())
            }
            Self::Chunked => {
                size_line(data.len(), out.small());
                out.data(data, b"\r\n");
                Ok(())
            }
        }
    }

    /// Writes the end of the body.
    ///
    /// # Errors
    /// Bytes are missing.
    pub fn end(&mut self, trailers: Option<&HeaderMap>, out: &mut Out) -> Result<(), WrongLength> {
        match self {
            Self::None | Self::Length(0) => Ok(()),
            Self::Length(_) => Err(WrongLength),
            Self::Chunked => {
                let out = out.small();
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    line(name, value.as_bytes(), out);
                }
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}

fn size_line(length: usize, out: &mut Vec<u8>) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut left = length;
    while left > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[left & 0xf];
        left >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}
