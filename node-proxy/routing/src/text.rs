//! Percent-encoding (RFC 3986 section 2.1).

use std::borrow::Cow;

/// Decodes once. What is no escape (`%zz`, a `%` at the end) stays as it is.
pub(crate) fn percent_decode(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(start) = text.iter().position(|byte| *byte == b'%') else {
        return Cow::Borrowed(text);
    };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(&text[..start]);
    let mut rest = &text[start..];
    while let Some((first, tail)) = rest.split_first() {
        match (first, escape(tail)) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = &tail[2..];
            }
            _ => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(decoded)
}

/// The byte that two hexadecimal digits at the beginning stand for.
fn escape(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}
