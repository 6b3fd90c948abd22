//! How a path is rewritten.
//!
//! The Gateway API replaces a prefix by path elements: with `/foo` and the replacement `/bar`, `/foo/x` becomes `/bar/x`;
//! with the replacement `/`, it becomes `/x`. Envoy's `prefix_rewrite` replaces bytes, so that the second would become
//! `//x`; where bytes and elements differ, a regular expression says what is meant.

use heddle_model::{PathMatch, PathRewrite};
use heddle_proto::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher};

/// A rewrite of the path in Envoy's words; the query stays in all cases.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rewrite {
    /// The path stays.
    Nothing,
    /// Replace the bytes that matched.
    Prefix(String),
    /// Replace what the expression matches.
    Regex(RegexMatchAndSubstitute),
}

impl Rewrite {
    pub(super) fn of(matched: &PathMatch, rewrite: &PathRewrite) -> Self {
        match (rewrite, matched) {
            (PathRewrite::Full(path), _) => whole_path(path),
            (PathRewrite::Prefix(replacement), PathMatch::Prefix(prefix)) => by_elements(
                prefix.trim_end_matches('/'),
                replacement.trim_end_matches('/'),
            ),
            // The Gateway API does not allow it; what matched here is the whole path.
            (PathRewrite::Prefix(replacement), PathMatch::Exact(_) | PathMatch::Regex(_)) => {
                whole_path(replacement)
            }
        }
    }
}

/// Neither ends with a slash; the root is empty.
fn by_elements(prefix: &str, replacement: &str) -> Rewrite {
    match (prefix, replacement) {
        ("", "") => Rewrite::Nothing,
        ("", replacement) => regex("^/", &format!("{replacement}/")),
        (prefix, "") => regex(&format!("^{}/?", escape(prefix)), "/"),
        (_, replacement) => Rewrite::Prefix(replacement.to_owned()),
    }
}

fn whole_path(path: &str) -> Rewrite {
    let path = if path.is_empty() { "/" } else { path };
    regex("^/.*$", path)
}

fn regex(pattern: &str, substitution: &str) -> Rewrite {
    Rewrite::Regex(RegexMatchAndSubstitute {
        pattern: Some(RegexMatcher {
            regex: pattern.to_owned(),
            ..RegexMatcher::default()
        }),
        // A backslash introduces a group (RE2); a literal one is doubled.
        substitution: substitution.replace('\\', r"\\"),
    })
}

/// Makes an expression that matches the text itself (RE2 syntax).
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
