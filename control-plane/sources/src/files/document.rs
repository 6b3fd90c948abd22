//! From the text of a file to its documents.

use serde_json::Value;
use serde_saphyr::{DuplicateKeyPolicy, Options};

/// One document of a file.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// Its number in the file, from 1, without empty ones.
    pub(super) number: usize,
    /// The line of the file on which it begins, from 1.
    line: usize,
    text: &'a str,
}

/// Cuts a file into documents at the lines that begin with `---` or `...`. No text inside a document may begin a line so (YAML 1.2.2,
/// 9.1.4), so this needs no parser, and what is broken in one document does not reach the next.
pub(super) fn split(text: &str) -> Vec<Document<'_>> {
    let mut pieces = Vec::new();
    let (mut start, mut start_line, mut position) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_marker(line, "---") {
            pieces.push((start_line, &text[start..position]));
            (start, start_line) = (position, index + 1);
        } else if is_marker(line, "...") {
            let end = position + line.len();
            pieces.push((start_line, &text[start..end]));
            (start, start_line) = (end, index + 2);
        }
        position += line.len();
    }
    pieces.push((start_line, &text[start..]));
    let pieces = pieces.into_iter().filter(|(_, text)| !is_empty(text));
    let numbered = pieces.enumerate().map(|(index, (line, text))| Document {
        number: index + 1,
        line,
        text,
    });
    numbered.collect()
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Only comments, directives and markers.
fn is_empty(text: &str) -> bool {
    text.lines().all(|line| {
        let content = ["---", "..."]
            .iter()
            .find_map(|marker| is_marker(line, marker).then(|| &line[marker.len()..]));
        let content = content.unwrap_or(line).trim();
        content.is_empty() || content.starts_with('#') || line.starts_with('%')
    })
}

impl Document<'_> {
    /// Parses it; the error says on which line of the file.
    pub(super) fn parse(&self) -> Result<Value, String> {
        serde_saphyr::from_str_with_options(self.text, options()).map_err(|error| {
            let error = error.without_snippet();
            let message = error.to_string();
            // Only the first line: some errors draw the place, which a log line cannot show.
            let message = message.lines().next().unwrap_or_default();
            match error.location() {
                Some(at) => {
                    let line = self
                        .line
                        .saturating_add(usize::try_from(at.line()).unwrap_or(1))
                        - 1;
                    format!("line {line}: broken YAML: {}", without_place(message))
                }
                None => format!("line {}: broken YAML: {message}", self.line),
            }
        })
    }
}

/// The parser's own words about the place count lines from the document's beginning.
fn without_place(message: &str) -> &str {
    let message = match message.strip_prefix("error: ") {
        Some(rest) => rest,
        None => message,
    };
    message.split(" at line ").next().unwrap_or(message)
}

/// Keys must be unique, and what a document unfolds to is bounded: neither depth nor aliases may cost more than an honest document does.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_nodes: 500_000,
            max_aliases: 10_000,
            max_anchors: 10_000,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        // YAML 1.2: a label `on`, `y` or `no` is a string.
        strict_booleans: true,
        with_snippet: false,
    }
}
