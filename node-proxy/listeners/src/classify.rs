//! What a client speaks, by its first bytes. Pure.

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// An HTTP/1 request line.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Something else.
    Other,
}

/// What an HTTP/2 client sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// No method in use is longer.
const LONGEST_METHOD: usize = 20;

/// What begins with these bytes; `None`: more are needed. 24 bytes always suffice.
///
/// HTTP/1 is a method in capital letters, a space, and the beginning of a path, of `*`, or of an absolute form. Protocols of
/// lines with capital words (`HELO example.com`, `SET key value`) are told apart by what stands behind the space.
pub(crate) fn classify(bytes: &[u8]) -> Option<Start> {
    match is_http2(bytes) {
        Some(true) => return Some(Start::Http2),
        None => return None,
        Some(false) => {}
    }
    let method = |byte: &u8| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_');
    let length = bytes.iter().take_while(|byte| method(byte)).count();
    if length > LONGEST_METHOD {
        return Some(Start::Other);
    }
    match bytes.get(length..) {
        None | Some([]) => None,
        Some([b' ']) if length > 0 => None,
        Some([b' ', b'/' | b'*' | b'h' | b'H', ..]) if length > 0 => Some(Start::Http1),
        Some(_) => Some(Start::Other),
    }
}

/// Whether these bytes begin HTTP/2; `None`: more are needed.
pub(crate) fn is_http2(bytes: &[u8]) -> Option<bool> {
    let length = bytes.len().min(PREFACE.len());
    if bytes[..length] != PREFACE[..length] {
        return Some(false);
    }
    (length == PREFACE.len()).then_some(true)
}
