//! Regular expressions from the outside.
//!
//! The engine runs in linear time whatever the expression, but one may compile to megabytes (`(a{1000}){1000}`); so its
//! size is limited here, where expressions are built.

use heddle_proto::envoy::r#type::matcher::v3::{RegexMatchAndSubstitute, RegexMatcher};
use regex::{Regex, RegexBuilder};
use std::sync::Arc;

use super::error::{At, DecodeError, Decoded, refuse};

/// Longest text of an expression, bytes.
pub const MAX_PATTERN: usize = 4 * 1024;
/// Largest compiled program, bytes.
const MAX_PROGRAM: usize = 1024 * 1024;
/// Largest cache of states while matching, bytes; beyond it, matching is slower, never wrong.
const MAX_CACHE: usize = 1024 * 1024;
/// Deepest nesting of groups.
const MAX_NESTING: u32 = 50;

/// An expression that must match the whole text.
pub(crate) fn anchored(matcher: &RegexMatcher) -> Decoded<Regex> {
    whole(&matcher.regex, false).at("regex")
}

/// An expression that must match the whole text.
pub(crate) fn whole(pattern: &str, ignore_case: bool) -> Decoded<Regex> {
    // By itself first: `a)|(b` is only valid between the parentheses that are put around it.
    compile(pattern, ignore_case)?;
    compile(&format!(r"\A(?:{pattern})\z"), ignore_case)
}

/// A search and what is put in the place of each match.
pub(crate) fn substitution(rewrite: &RegexMatchAndSubstitute) -> Decoded<(Regex, Arc<str>)> {
    let Some(pattern) = &rewrite.pattern else {
        return refuse("missing").at("pattern");
    };
    let regex = compile(&pattern.regex, false).at("pattern.regex")?;
    let replacement = replacement(&rewrite.substitution, &regex).at("substitution")?;
    Ok((regex, replacement.into()))
}

fn compile(pattern: &str, ignore_case: bool) -> Decoded<Regex> {
    if pattern.is_empty() {
        return refuse("the regular expression is empty");
    }
    if pattern.len() > MAX_PATTERN + 16 {
        return refuse(format_args!(
            "the regular expression is longer than {MAX_PATTERN} bytes"
        ));
    }
    RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .size_limit(MAX_PROGRAM)
        .dfa_size_limit(MAX_CACHE)
        .nest_limit(MAX_NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => DecodeError::new(format_args!(
                "the regular expression compiles to more than {limit} bytes"
            )),
            other => DecodeError::new(one_line(&other.to_string())),
        })
}

/// The parser draws the place of an error under the expression; a NACK is one line.
fn one_line(text: &str) -> String {
    let last = text.lines().last().unwrap_or_default();
    format!(
        "not a regular expression: {}",
        last.strip_prefix("error: ").unwrap_or(last)
    )
}

/// RE2 writes groups `\1` and a backslash `\\`; the engine here writes them `${1}` and `\`.
fn replacement(substitution: &str, regex: &Regex) -> Decoded<String> {
    let mut out = String::with_capacity(substitution.len());
    let mut characters = substitution.chars();
    while let Some(character) = characters.next() {
        match character {
            '$' => out.push_str("$$"),
            '\\' => match characters.next() {
                Some('\\') => out.push('\\'),
                Some(digit) if digit.is_ascii_digit() => {
                    let group = digit.to_digit(10).unwrap_or_default();
                    if group as usize >= regex.captures_len() {
                        return refuse(format_args!("the expression has no group {group}"));
                    }
                    out.push_str(&format!("${{{group}}}"));
                }
                _ => return refuse(r"a backslash must stand before a digit or a backslash"),
            },
            other => out.push(other),
        }
    }
    Ok(out)
}
