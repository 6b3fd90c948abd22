//! A path as a condition of policy.

use heddle_model::PathMatch;
use heddle_proto::envoy::{
    config::rbac::v3::{Permission, permission::Rule},
    r#type::matcher::v3::{
        PathMatcher, RegexMatcher, StringMatcher, path_matcher, string_matcher::MatchPattern,
    },
};

use super::{one_of, permission};

/// On the path without the query.
pub(crate) fn path_rule(path: &PathMatch) -> Permission {
    match path {
        PathMatch::Exact(path) => url_path(MatchPattern::Exact(path.to_string())),
        PathMatch::Regex(regex) => url_path(MatchPattern::SafeRegex(RegexMatcher {
            regex: regex.to_string(),
            ..RegexMatcher::default()
        })),
        PathMatch::Prefix(prefix) if &**prefix == "/" => {
            url_path(MatchPattern::Prefix(prefix.to_string()))
        }
        // By elements: `/a` holds for `/a` and `/a/b`, not for `/ab`.
        PathMatch::Prefix(prefix) => one_of(vec![
            url_path(MatchPattern::Exact(prefix.to_string())),
            url_path(MatchPattern::Prefix(format!("{prefix}/"))),
        ]),
    }
}

fn url_path(pattern: MatchPattern) -> Permission {
    permission(Rule::UrlPath(PathMatcher {
        rule: Some(path_matcher::Rule::Path(StringMatcher {
            match_pattern: Some(pattern),
            ..StringMatcher::default()
        })),
    }))
}
