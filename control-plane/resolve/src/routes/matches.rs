//! Matches: which requests a rule is for.

use std::{collections::BTreeSet, sync::Arc};

use heddle_model::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, StringMatch};
use regex::RegexBuilder;

use super::{
    precedence::Rank,
    raw::{RawCondition, RawMatch, RawPath},
};
use crate::names::excerpt;

/// Bytes that a compiled expression may take. The pattern comes from a user and runs for each request of others.
pub const REGEX_SIZE_LIMIT: usize = 1 << 20;
/// How deep an expression may be nested.
pub const REGEX_NEST_LIMIT: u32 = 100;

/// A broken part of a match: (field below the match, message).
pub(super) type Broken = (String, String);

/// Reads one match, with its place in the order of precedence.
pub(super) fn read(raw: &RawMatch) -> Result<(RouteMatch, Rank), Broken> {
    let path = path(&raw.path)?;
    let headers = headers(&raw.headers)?;
    let query = query(&raw.query)?;
    let rank = match &raw.path {
        RawPath::Grpc {
            service, method, ..
        } => Rank::grpc(
            chars(service.as_deref()),
            chars(method.as_deref()),
            headers.len(),
        ),
        _ => Rank::http(&path, raw.method.is_some(), headers.len(), query.len()),
    };
    let matches = RouteMatch {
        path,
        method: raw.method.map(Arc::from),
        headers,
        query,
    };
    Ok((matches, rank))
}

fn chars(text: Option<&str>) -> usize {
    text.map_or(0, |text| text.chars().count())
}

fn path(raw: &RawPath) -> Result<PathMatch, Broken> {
    let at = |field: &str| {
        let field = field.to_owned();
        move |message: String| (field, message)
    };
    match raw {
        RawPath::Exact(value) => path_text(value)
            .map(PathMatch::Exact)
            .map_err(at("path.value")),
        RawPath::Prefix(value) => path_text(value).map(prefix).map_err(at("path.value")),
        RawPath::Regex(value) => regex(value).map(PathMatch::Regex).map_err(at("path.value")),
        RawPath::Grpc {
            service,
            method,
            regex,
        } => grpc_path(service.as_deref(), method.as_deref(), *regex),
    }
}

/// A trailing slash means nothing in a prefix: `/abc/` is `/abc`.
pub(crate) fn prefix(value: Arc<str>) -> PathMatch {
    match value.strip_suffix('/') {
        Some("") | None => PathMatch::Prefix(value),
        Some(shorter) => PathMatch::Prefix(Arc::from(shorter)),
    }
}

/// A path as the API's own validation allows it (HTTPPathMatch): absolute, with nothing in it that a server could read in two ways.
pub(crate) fn path_text(value: &str) -> Result<Arc<str>, String> {
    const NEVER: [&str; 6] = ["//", "/./", "/../", "%2f", "%2F", "#"];
    if !value.starts_with('/') {
        return Err(format!("{} does not begin with '/'", excerpt(value)));
    }
    if let Some(bad) = NEVER.iter().find(|bad| value.contains(*bad)) {
        return Err(format!(
            "{} contains {bad:?}, which no normalised path does",
            excerpt(value)
        ));
    }
    if value.ends_with("/..") || value.ends_with("/.") {
        return Err(format!("{} ends with a relative element", excerpt(value)));
    }
    if value.contains('?') || value.chars().any(|c| c.is_control() || c == ' ') {
        return Err(format!(
            "{} has a character that no path has",
            excerpt(value)
        ));
    }
    Ok(Arc::from(value))
}

/// gRPC: the path is `/<service>/<method>`. What is not given is any.
fn grpc_path(
    service: Option<&str>,
    method: Option<&str>,
    is_regex: bool,
) -> Result<PathMatch, Broken> {
    let at = |field: &str| {
        let field = format!("method.{field}");
        move |message: String| (field, message)
    };
    if is_regex {
        let part = |text: Option<&str>, field: &str| match text {
            None => Ok("[^/]+".to_owned()),
            Some(text) => regex(text)
                .map(|text| format!("(?:{text})"))
                .map_err(at(field)),
        };
        let pattern = format!("/{}/{}", part(service, "service")?, part(method, "method")?);
        return regex(&pattern).map(PathMatch::Regex).map_err(at("service"));
    }
    for (text, field) in [(service, "service"), (method, "method")] {
        if let Some(text) = text.filter(|text| !is_grpc_name(text)) {
            return Err(at(field)(format!("{} is not a name", excerpt(text))));
        }
    }
    Ok(match (service, method) {
        (Some(service), Some(method)) => {
            PathMatch::Exact(Arc::from(format!("/{service}/{method}")))
        }
        (Some(service), None) => PathMatch::Prefix(Arc::from(format!("/{service}"))),
        (None, Some(method)) => {
            PathMatch::Regex(Arc::from(format!("/[^/]+/{}", regex::escape(method))))
        }
        (None, None) => PathMatch::Prefix(Arc::from("/")),
    })
}

/// Names with dots; nothing that would leave its place in the path.
fn is_grpc_name(text: &str) -> bool {
    let first = text
        .bytes()
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
    first
        && text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
}

/// Of several conditions on one header (compared without case) only the first counts (HTTPHeaderMatch).
fn headers(raw: &[RawCondition]) -> Result<Vec<HeaderMatch>, Broken> {
    let mut seen = BTreeSet::new();
    let mut headers = Vec::new();
    for (index, condition) in raw.iter().enumerate() {
        let name = token(&condition.name)
            .map(|name| name.to_ascii_lowercase())
            .map_err(|message| (format!("headers[{index}].name"), message))?;
        if seen.insert(name.clone()) {
            let value = string(condition)
                .map_err(|message| (format!("headers[{index}].value"), message))?;
            headers.push(HeaderMatch {
                name: Arc::from(name),
                value,
            });
        }
    }
    Ok(headers)
}

/// Of several conditions on one parameter only the first counts (HTTPQueryParamMatch).
fn query(raw: &[RawCondition]) -> Result<Vec<QueryMatch>, Broken> {
    let mut seen = BTreeSet::new();
    let mut query = Vec::new();
    for (index, condition) in raw.iter().enumerate() {
        if condition.name.is_empty() {
            return Err((format!("queryParams[{index}].name"), "is empty".to_owned()));
        }
        if seen.insert(condition.name.clone()) {
            let value = string(condition)
                .map_err(|message| (format!("queryParams[{index}].value"), message))?;
            query.push(QueryMatch {
                name: Arc::from(condition.name.as_str()),
                value,
            });
        }
    }
    Ok(query)
}

fn string(condition: &RawCondition) -> Result<StringMatch, String> {
    if condition.regex {
        regex(&condition.value).map(StringMatch::Regex)
    } else {
        Ok(StringMatch::Exact(Arc::from(condition.value.as_str())))
    }
}

/// A header name or a method (RFC 9110 section 5.6.2).
pub(crate) fn token(text: &str) -> Result<&str, String> {
    let ok = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
    if !text.is_empty() && text.len() <= 256 && text.bytes().all(ok) {
        Ok(text)
    } else {
        Err(format!("{} is not a token (RFC 9110)", excerpt(text)))
    }
}

/// An expression that compiles within the limits, alone and anchored as it will be used: `a)|(b` or a comment at its end would change what the anchors hold.
fn regex(text: &str) -> Result<Arc<str>, String> {
    for pattern in [text.to_owned(), format!("^(?:{text})$")] {
        let compiled = RegexBuilder::new(&pattern)
            .size_limit(REGEX_SIZE_LIMIT)
            .nest_limit(REGEX_NEST_LIMIT)
            .build();
        if let Err(error) = compiled {
            let text_of_error = error.to_string();
            let reason = text_of_error.lines().last().unwrap_or_default();
            let reason = reason
                .strip_prefix("error: ")
                .unwrap_or(reason)
                .trim_end_matches('.');
            return Err(format!(
                "the expression {} cannot be used: {reason}",
                excerpt(text)
            ));
        }
    }
    Ok(Arc::from(text))
}
