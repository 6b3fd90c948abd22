//! Conditions on strings, headers, query parameters and paths.

use heddle_proto::envoy::{
    config::route::v3::{
        HeaderMatcher as WireHeader, QueryParameterMatcher, RouteMatch as WireMatch,
        header_matcher::HeaderMatchSpecifier as Header,
        query_parameter_matcher::QueryParameterMatchSpecifier as Query, route_match::PathSpecifier,
    },
    r#type::matcher::v3::{
        PathMatcher as WirePath, StringMatcher as WireString, path_matcher,
        string_matcher::MatchPattern,
    },
};
use heddle_routing::{HeaderMatcher, PathMatcher, QueryMatcher, RouteMatch, StringMatcher};

use super::{
    error::{At, Decoded, each, refuse, unsupported},
    regex,
};

/// type.matcher.v3.StringMatcher.
pub(crate) fn string(matcher: &WireString) -> Decoded<StringMatcher> {
    let Some(pattern) = &matcher.match_pattern else {
        return refuse("match_pattern is missing");
    };
    if matcher.ignore_case {
        return ignoring_case(pattern);
    }
    Ok(match pattern {
        MatchPattern::Exact(text) => StringMatcher::Exact(text.as_str().into()),
        MatchPattern::Prefix(text) => StringMatcher::Prefix(text.as_str().into()),
        MatchPattern::Suffix(text) => StringMatcher::Suffix(text.as_str().into()),
        MatchPattern::Contains(text) => StringMatcher::Contains(text.as_str().into()),
        MatchPattern::SafeRegex(regex) => {
            StringMatcher::Regex(regex::anchored(regex).at("safe_regex")?)
        }
        MatchPattern::Custom(_) => return refuse("not understood by this proxy").at("custom"),
    })
}

fn ignoring_case(pattern: &MatchPattern) -> Decoded<StringMatcher> {
    let escape = ::regex::escape;
    let pattern = match pattern {
        MatchPattern::Exact(text) => escape(text),
        MatchPattern::Prefix(text) => format!("{}(?s:.*)", escape(text)),
        MatchPattern::Suffix(text) => format!("(?s:.*){}", escape(text)),
        MatchPattern::Contains(text) => format!("(?s:.*){}(?s:.*)", escape(text)),
        // type.matcher.v3: "has no effect for the safe_regex match", but a sender that sets it means something by it.
        MatchPattern::SafeRegex(_) | MatchPattern::Custom(_) => {
            return refuse("has no meaning with this match_pattern").at("ignore_case");
        }
    };
    Ok(StringMatcher::Regex(regex::whole(&pattern, true)?))
}

/// config.route.v3.HeaderMatcher.
pub(crate) fn header(matcher: &WireHeader) -> Decoded<HeaderMatcher> {
    let name = matcher.name.to_ascii_lowercase();
    let pseudo = [":method", ":path", ":authority", ":scheme"].contains(&name.as_str());
    if !pseudo && http::HeaderName::from_bytes(name.as_bytes()).is_err() {
        return refuse(format_args!("{name:?} is no header name")).at("name");
    }
    unsupported(
        matcher.treat_missing_header_as_empty,
        "treat_missing_header_as_empty",
    )?;
    let text = |text: &String| text.as_str().into();
    let mut invert = matcher.invert_match;
    let value = match &matcher.header_match_specifier {
        None => None,
        Some(Header::PresentMatch(present)) => {
            invert ^= !present;
            None
        }
        Some(Header::StringMatch(inner)) => Some(string(inner).at("string_match")?),
        Some(Header::SafeRegexMatch(inner)) => Some(StringMatcher::Regex(
            regex::anchored(inner).at("safe_regex_match")?,
        )),
        Some(Header::ExactMatch(exact)) => Some(StringMatcher::Exact(text(exact))),
        Some(Header::PrefixMatch(prefix)) => Some(StringMatcher::Prefix(text(prefix))),
        Some(Header::SuffixMatch(suffix)) => Some(StringMatcher::Suffix(text(suffix))),
        Some(Header::ContainsMatch(part)) => Some(StringMatcher::Contains(text(part))),
        Some(Header::RangeMatch(_)) => {
            return refuse("not understood by this proxy").at("range_match");
        }
    };
    Ok(HeaderMatcher {
        name: name.into(),
        value,
        invert,
    })
}

fn query(matcher: &QueryParameterMatcher) -> Decoded<QueryMatcher> {
    if matcher.name.is_empty() {
        return refuse("missing").at("name");
    }
    let value = match &matcher.query_parameter_match_specifier {
        None | Some(Query::PresentMatch(true)) => None,
        Some(Query::StringMatch(inner)) => Some(string(inner).at("string_match")?),
        Some(Query::PresentMatch(false)) => {
            return refuse("must not be false").at("present_match");
        }
    };
    Ok(QueryMatcher {
        name: matcher.name.as_str().into(),
        value,
    })
}

/// config.route.v3.RouteMatch.
pub(crate) fn route_match(wire: &WireMatch) -> Decoded<RouteMatch> {
    let sensitive = wire.case_sensitive.as_ref().is_none_or(|value| value.value);
    unsupported(!sensitive, "case_sensitive")?;
    unsupported(wire.runtime_fraction.is_some(), "runtime_fraction")?;
    unsupported(!wire.cookies.is_empty(), "cookies")?;
    unsupported(wire.tls_context.is_some(), "tls_context")?;
    unsupported(!wire.dynamic_metadata.is_empty(), "dynamic_metadata")?;
    unsupported(!wire.filter_state.is_empty(), "filter_state")?;
    let mut headers = each("headers", &wire.headers, header)?;
    if wire.grpc.is_some() {
        headers.push(HeaderMatcher {
            name: "content-type".into(),
            value: Some(StringMatcher::Prefix("application/grpc".into())),
            invert: false,
        });
    }
    Ok(RouteMatch {
        path: route_path(wire.path_specifier.as_ref())?,
        headers,
        query: each("query_parameters", &wire.query_parameters, query)?,
    })
}

fn route_path(specifier: Option<&PathSpecifier>) -> Decoded<PathMatcher> {
    match specifier {
        Some(PathSpecifier::Prefix(prefix)) => Ok(PathMatcher::Prefix(prefix.as_str().into())),
        Some(PathSpecifier::Path(path)) => Ok(PathMatcher::Exact(path.as_str().into())),
        Some(PathSpecifier::PathSeparatedPrefix(prefix)) => {
            let odd = |c| matches!(c, '?' | '#');
            if !prefix.starts_with('/') || prefix.ends_with('/') || prefix.contains(odd) {
                return refuse("must begin with '/', not end with it, and have no '?' or '#'")
                    .at("path_separated_prefix");
            }
            Ok(PathMatcher::ElementPrefix(prefix.as_str().into()))
        }
        Some(PathSpecifier::SafeRegex(regex)) => {
            Ok(PathMatcher::Regex(regex::anchored(regex).at("safe_regex")?))
        }
        Some(PathSpecifier::ConnectMatcher(_)) => {
            refuse("not understood by this proxy").at("connect_matcher")
        }
        Some(PathSpecifier::PathMatchPolicy(_)) => {
            refuse("not understood by this proxy").at("path_match_policy")
        }
        None => refuse("missing").at("path_specifier"),
    }
}

/// type.matcher.v3.PathMatcher, as policies use it.
pub(crate) fn policy_path(matcher: &WirePath) -> Decoded<PathMatcher> {
    let Some(path_matcher::Rule::Path(matcher)) = &matcher.rule else {
        return refuse("missing").at("path");
    };
    Ok(match string(matcher).at("path")? {
        StringMatcher::Exact(path) => PathMatcher::Exact(path),
        StringMatcher::Prefix(path) => PathMatcher::Prefix(path),
        StringMatcher::Regex(regex) => PathMatcher::Regex(regex),
        StringMatcher::Suffix(text) => {
            let pattern = format!("(?s:.*){}", ::regex::escape(&text));
            PathMatcher::Regex(regex::whole(&pattern, false).at("path.suffix")?)
        }
        StringMatcher::Contains(text) => {
            let pattern = format!("(?s:.*){}(?s:.*)", ::regex::escape(&text));
            PathMatcher::Regex(regex::whole(&pattern, false).at("path.contains")?)
        }
    })
}
