//! The parsers of a client's first bytes, as functions of bytes: what fuzzing drives. Not for anything else.

use crate::{
    classify::{classify, is_http2},
    http::Framing,
};

/// Tells protocols apart. What it says of a beginning must hold for all that follows.
///
/// # Panics
/// If it does not: that is the defect to be found.
pub fn detect(bytes: &[u8]) {
    let verdict = classify(bytes);
    let first = (0..=bytes.len()).find_map(|length| classify(&bytes[..length]));
    assert_eq!(verdict, first, "more bytes changed the verdict");
    assert!(
        verdict.is_some() || bytes.len() < 24,
        "no verdict on {bytes:?}"
    );
    let http2 = (0..=bytes.len()).find_map(|length| is_http2(&bytes[..length]));
    assert_eq!(is_http2(bytes), http2, "more bytes changed the version");
}

/// Follows the framing of HTTP/1. How the bytes were cut on their way must make no difference.
///
/// # Panics
/// If it does: that is the defect to be found.
pub fn follow_http1(bytes: &[u8]) {
    let mut whole = Framing::new(HEAD);
    let outcome = whole.follow(bytes);
    let mut pieces = Framing::new(HEAD);
    let cut = bytes.chunks(7).enumerate().find_map(|(index, piece)| {
        let (offence, used) = pieces.follow(piece).err()?;
        Some((offence, index * 7 + used))
    });
    assert_eq!(outcome.err(), cut, "the cuts made a difference");
    if cut.is_none() {
        assert_eq!(whole.is_in_head(), pieces.is_in_head());
    }
}

/// Small, so that fuzzing gets beyond it.
const HEAD: usize = 512;
