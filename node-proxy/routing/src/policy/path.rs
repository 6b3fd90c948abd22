//! What a server could take a path for.
//!
//! A policy on paths is only worth something if the proxy and the server behind it mean the same path. Servers differ:
//! some resolve `/a/../b`, merge `//`, take `\` for `/`, decode `%2f` before they split, decode twice, cut `;parameters`
//! out of elements or stop at a decoded NUL, `?` or `#`. The proxy cannot know which, and it forwards the path as it was
//! sent. So a condition is judged on *every* reading that comes of these habits, in their usual order: it holds if it
//! holds for all, does not hold if it holds for none, and is unknown otherwise. An honest path has one reading, or two
//! where letters are percent-encoded.

use super::truth::Truth;
use crate::{PathMatcher, text::percent_decode};

/// A path that is longer and not plain is not judged at all.
const MAX_LENGTH: usize = 8 * 1024;
/// Nor is one that could mean more than this many things.
const MAX_READINGS: usize = 64;

/// All that a path could mean.
#[derive(Debug)]
pub(super) enum Readings<'a> {
    /// Itself.
    One(&'a str),
    /// One of these.
    Several(Vec<String>),
    /// Too much to tell.
    Unclear,
}

impl<'a> Readings<'a> {
    pub(super) fn of(path: &'a str) -> Self {
        if is_plain(path) {
            return Self::One(path);
        }
        if path.len() > MAX_LENGTH {
            return Self::Unclear;
        }
        let mut readings = vec![path.as_bytes().to_vec()];
        for habit in HABITS {
            for at in 0..readings.len() {
                let reading = habit(&readings[at]);
                if !readings.contains(&reading) {
                    readings.push(reading);
                }
            }
            if readings.len() > MAX_READINGS || readings.iter().any(|r| has_overlong(r)) {
                return Self::Unclear;
            }
        }
        let texts = readings.into_iter().map(|r| match String::from_utf8(r) {
            Ok(text) => text,
            Err(bytes) => String::from_utf8_lossy(bytes.as_bytes()).into_owned(),
        });
        Self::Several(texts.collect())
    }

    pub(super) fn judge(&self, matcher: &PathMatcher) -> Truth {
        let readings = match self {
            Self::One(path) => return matcher.matches(path).into(),
            Self::Several(readings) => readings,
            Self::Unclear => return Truth::Unknown,
        };
        let holds = readings.iter().filter(|path| matcher.matches(path)).count();
        match holds {
            0 => Truth::No,
            all if all == readings.len() => Truth::Yes,
            _ => Truth::Unknown,
        }
    }
}

/// Nothing in it that any habit would change.
fn is_plain(path: &str) -> bool {
    let odd = |byte| matches!(byte, b'%' | b'\\' | b';' | b'?' | b'#') || byte < b' ';
    path.starts_with('/') && !path.bytes().any(odd) && !path.contains("//") && !path.contains("/.")
}

/// What a server may do to a path.
type Habit = fn(&[u8]) -> Vec<u8>;

/// In the order in which servers apply them; each may be skipped.
const HABITS: [Habit; 7] = [
    |path| percent_decode(path).into_owned(),
    |path| percent_decode(path).into_owned(),
    cut,
    slashes_from_backslashes,
    without_parameters,
    merged_slashes,
    without_dot_segments,
];

/// Stops at what ends a path, or a string.
fn cut(path: &[u8]) -> Vec<u8> {
    let end = path.iter().position(|byte| b"\0?#".contains(byte));
    path[..end.unwrap_or(path.len())].to_vec()
}

fn slashes_from_backslashes(path: &[u8]) -> Vec<u8> {
    let slash = |byte: &u8| if *byte == b'\\' { b'/' } else { *byte };
    path.iter().map(slash).collect()
}

/// Servlet containers: `/a;v=1/b` is `/a/b`, `/a/..;/b` is `/a/../b`.
fn without_parameters(path: &[u8]) -> Vec<u8> {
    let element = |e: &[u8]| {
        e.split(|byte| *byte == b';')
            .next()
            .unwrap_or_default()
            .to_vec()
    };
    let elements: Vec<Vec<u8>> = path.split(|byte| *byte == b'/').map(element).collect();
    elements.join(&b'/')
}

fn merged_slashes(path: &[u8]) -> Vec<u8> {
    let mut merged = path.to_vec();
    merged.dedup_by(|a, b| *a == b'/' && *b == b'/');
    merged
}

/// RFC 3986 section 5.2.4.
fn without_dot_segments(path: &[u8]) -> Vec<u8> {
    let elements: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let mut kept: Vec<&[u8]> = Vec::new();
    for (at, element) in elements.iter().enumerate() {
        let last = at + 1 == elements.len();
        match *element {
            b"." => {}
            b".." => {
                // The first, empty element is the leading slash: the root is its own parent.
                if kept.len() > 1 {
                    kept.pop();
                }
            }
            other => {
                kept.push(other);
                continue;
            }
        }
        if last {
            kept.push(b"");
        }
    }
    kept.join(&b'/')
}

/// UTF-8 that spells an ASCII character with more bytes than it needs (`%c0%af` for `/`): some decoders accept it.
fn has_overlong(path: &[u8]) -> bool {
    path.iter().any(|byte| matches!(byte, 0xc0 | 0xc1))
        || path
            .windows(2)
            .any(|pair| matches!(pair, [0xe0, 0x80..=0x9f] | [0xf0, 0x80..=0x8f]))
}
