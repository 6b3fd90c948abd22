//! Conditions on query parameters.

use std::borrow::Cow;

use crate::{QueryMatcher, text::percent_decode};

/// Whether all conditions hold on a query (without `?`).
pub(crate) fn match_all(matchers: &[QueryMatcher], query: Option<&str>) -> bool {
    matchers
        .iter()
        .all(|matcher| matcher.matches(query.unwrap_or_default()))
}

impl QueryMatcher {
    /// Whether a query (without `?`) fulfils the condition. Names and values are percent-decoded; `+` stays `+`
    /// (RFC 3986; a form's encoding is none of a route's business). The first parameter of a name counts (Gateway API,
    /// HTTPQueryParamMatch).
    pub fn matches(&self, query: &str) -> bool {
        let Some(value) = first(query, &self.name) else {
            return false;
        };
        self.value
            .as_ref()
            .is_none_or(|matcher| matcher.matches_bytes(&value))
    }
}

fn first<'a>(query: &'a str, name: &str) -> Option<Cow<'a, [u8]>> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *percent_decode(key.as_bytes()) == *name.as_bytes())
        .map(|(_, value)| percent_decode(value.as_bytes()))
}
