//! Which clients are asked about: `node_matchers` by `node_id`.

use heddle_proto::envoy::r#type::matcher::v3::{
    NodeMatcher, StringMatcher, string_matcher::MatchPattern,
};
use tonic::Status;

use super::name;
use crate::ClientState;

/// Any of these; none means all.
#[derive(Debug)]
pub(super) struct Matcher<'a>(Vec<(Pattern<'a>, bool)>);

#[derive(Debug)]
enum Pattern<'a> {
    Exact(&'a str),
    Prefix(&'a str),
    Suffix(&'a str),
    Contains(&'a str),
}

impl<'a> Matcher<'a> {
    /// What is not understood is refused: left out, it would tell more than was asked for.
    pub(super) fn of(matchers: &'a [NodeMatcher]) -> Result<Self, Status> {
        matchers
            .iter()
            .map(node_id)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn matches(&self, client: &ClientState) -> bool {
        let name = name(client);
        self.0.is_empty()
            || self.0.iter().any(|(pattern, ignore_case)| {
                let fold = |text: &str| match ignore_case {
                    true => text.to_ascii_lowercase(),
                    false => text.to_owned(),
                };
                let name = fold(name);
                match pattern {
                    Pattern::Exact(text) => name == fold(text),
                    Pattern::Prefix(text) => name.starts_with(&fold(text)),
                    Pattern::Suffix(text) => name.ends_with(&fold(text)),
                    Pattern::Contains(text) => name.contains(&fold(text)),
                }
            })
    }
}

fn node_id(matcher: &NodeMatcher) -> Result<(Pattern<'_>, bool), Status> {
    let refused = || {
        Status::invalid_argument(
            "node_matchers: only node_id is understood, by exact, prefix, suffix or contains",
        )
    };
    if !matcher.node_metadatas.is_empty() {
        return Err(refused());
    }
    let StringMatcher {
        match_pattern,
        ignore_case,
    } = matcher.node_id.as_ref().ok_or_else(refused)?;
    let pattern = match match_pattern {
        Some(MatchPattern::Exact(text)) => Pattern::Exact(text),
        Some(MatchPattern::Prefix(text)) => Pattern::Prefix(text),
        Some(MatchPattern::Suffix(text)) => Pattern::Suffix(text),
        Some(MatchPattern::Contains(text)) => Pattern::Contains(text),
        _ => return Err(refused()),
    };
    Ok((pattern, *ignore_case))
}
