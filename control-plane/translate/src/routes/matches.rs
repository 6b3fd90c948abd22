//! Which requests a route is for.

use heddle_model::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, StringMatch};
use heddle_proto::envoy::{
    config::route::v3::{
        HeaderMatcher, QueryParameterMatcher, RouteMatch as WireMatch,
        header_matcher::HeaderMatchSpecifier,
        query_parameter_matcher::QueryParameterMatchSpecifier, route_match::PathSpecifier,
    },
    r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
};

/// All conditions.
pub(super) fn route_match(matches: &RouteMatch) -> WireMatch {
    let method = matches.method.as_ref().map(|method| HeaderMatch {
        name: ":method".into(),
        value: StringMatch::Exact(method.clone()),
    });
    WireMatch {
        path_specifier: Some(path(&matches.path)),
        headers: method.iter().chain(&matches.headers).map(header).collect(),
        query_parameters: matches.query.iter().map(query).collect(),
        ..WireMatch::default()
    }
}

fn path(path: &PathMatch) -> PathSpecifier {
    match path {
        PathMatch::Exact(path) => PathSpecifier::Path(path.to_string()),
        PathMatch::Prefix(prefix) if &**prefix == "/" => PathSpecifier::Prefix(prefix.to_string()),
        PathMatch::Prefix(prefix) => PathSpecifier::PathSeparatedPrefix(prefix.to_string()),
        PathMatch::Regex(expression) => PathSpecifier::SafeRegex(regex(expression)),
    }
}

fn header(header: &HeaderMatch) -> HeaderMatcher {
    HeaderMatcher {
        name: header.name.to_string(),
        header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(string(&header.value))),
        ..HeaderMatcher::default()
    }
}

fn query(query: &QueryMatch) -> QueryParameterMatcher {
    QueryParameterMatcher {
        name: query.name.to_string(),
        query_parameter_match_specifier: Some(QueryParameterMatchSpecifier::StringMatch(string(
            &query.value,
        ))),
    }
}

fn string(value: &StringMatch) -> StringMatcher {
    let pattern = match value {
        StringMatch::Exact(value) => MatchPattern::Exact(value.to_string()),
        StringMatch::Regex(expression) => MatchPattern::SafeRegex(regex(expression)),
    };
    StringMatcher {
        match_pattern: Some(pattern),
        ..StringMatcher::default()
    }
}

/// Anchored on both ends by its definition (type.matcher.v3.RegexMatcher: "matched against the full string").
fn regex(expression: &str) -> RegexMatcher {
    RegexMatcher {
        regex: expression.to_owned(),
        ..RegexMatcher::default()
    }
}
