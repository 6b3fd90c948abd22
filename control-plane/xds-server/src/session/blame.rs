//! Which resources a NACK is about.
//!
//! Understood are lines, or clauses separated by `; `, that begin with `<name>: ` or `<kind> <name>: ` (our own client:
//! `Listener shop/cart:80: address: ...; Listener shop/db:5432: ...; and 7 more`), Envoy's
//! `Error adding/updating listener(s) <name>: <message>` with several joined by commas or line ends, and sentences with a name
//! inside. What is found here only decides which resources count as refused: if nothing is found, all do.

use std::collections::BTreeMap;

/// Longest text kept for one resource, in bytes.
const MESSAGE_LIMIT: usize = 1024;

/// How Envoy begins a list of several.
const ENVOY_LIST: &str = "Error adding/updating";

/// What a NACK says about the resources of a response.
#[derive(Debug, Default)]
pub(super) struct Blame<'a> {
    /// The refused ones, with what is said about each.
    pub(super) named: BTreeMap<&'a str, String>,
    /// The text says that there are more than it names.
    pub(super) more: bool,
}

/// Finds the refused ones among `sent`.
pub(super) fn blamed<'a>(text: &str, sent: impl Iterator<Item = &'a str>) -> Blame<'a> {
    let sent: BTreeMap<&str, &'a str> = sent.map(|name| (name, name)).collect();
    let mut blame = Blame::default();
    for clause in text.lines().flat_map(|line| line.split("; ")) {
        blame.more |= is_more(clause);
        blame.add(clause, &sent);
    }
    if blame.named.is_empty() {
        for name in sent.values().filter(|name| mentions(text, name)) {
            blame.named.insert(*name, shorten(text));
        }
    }
    blame
}

impl<'a> Blame<'a> {
    /// Whoever is named first is meant; the rest is prose and may mention innocent names. Only Envoy's lists go on.
    fn add(&mut self, clause: &str, sent: &BTreeMap<&str, &'a str>) {
        let is_list = clause.starts_with(ENVOY_LIST);
        for (at, _) in clause.match_indices(": ") {
            let before = &clause[..at];
            let word = before
                .rsplit([' ', ',', '\'', '"'])
                .next()
                .unwrap_or(before);
            if let Some(name) = sent.get(before).or_else(|| sent.get(word)) {
                let message = || shorten(&clause[at + 2..]);
                self.named.entry(*name).or_insert_with(message);
                if !is_list {
                    return;
                }
            }
        }
    }
}

/// `and 7 more`.
fn is_more(clause: &str) -> bool {
    let number = clause
        .trim()
        .strip_prefix("and ")
        .and_then(|rest| rest.strip_suffix(" more"));
    number.is_some_and(|number| number.parse::<usize>().is_ok())
}

/// Whether the name stands in the text as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || "-_./@".contains(c);
    !name.is_empty()
        && text.match_indices(name).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let mut after = text[at + name.len()..].chars();
            let free_after = match after.next() {
                // `:` ends a word, `:80` continues a name; so does a full stop.
                Some(':' | '.') => !after.next().is_some_and(part_of_name),
                Some(c) => !part_of_name(c),
                None => true,
            };
            free_after && !before.is_some_and(|c| part_of_name(c) || c == ':')
        })
}

/// Cuts at a character boundary.
pub(super) fn shorten(text: &str) -> String {
    let text = text.trim();
    let mut end = text.len().min(MESSAGE_LIMIT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
