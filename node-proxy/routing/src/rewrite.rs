//! How the path of a forwarded request changes.

use std::borrow::Cow;

use http::{Uri, uri::PathAndQuery};

use crate::{Forward, PathMatcher, PathRewrite, RouteMatch};

/// A rewrite made something that is no path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rewritten path {0:?} is not valid in a request")]
pub struct InvalidPath(String);

impl Forward {
    /// The new path and query of a request that `matches` matched; `None`: they stay as they are.
    pub fn path_and_query(
        &self,
        matches: &RouteMatch,
        uri: &Uri,
    ) -> Result<Option<PathAndQuery>, InvalidPath> {
        let Some(rewrite) = &self.path_rewrite else {
            return Ok(None);
        };
        let path = rewrite.apply(&matches.path, uri.path());
        let whole = with_query(&path, uri.query());
        match PathAndQuery::try_from(whole.as_str()) {
            Ok(valid) => Ok(Some(valid)),
            Err(_) => Err(InvalidPath(whole)),
        }
    }
}

impl PathRewrite {
    /// The new path (without query) of a request whose path `matched` matched. Always begins with `/`.
    pub fn apply(&self, matched: &PathMatcher, path: &str) -> String {
        let new = match self {
            Self::Prefix(replacement) => replace_prefix(matched, path, replacement),
            Self::Regex(regex, substitution) => match regex.replace_all(path, &**substitution) {
                Cow::Borrowed(same) => same.to_owned(),
                Cow::Owned(new) => new,
            },
        };
        if new.starts_with('/') {
            new
        } else {
            format!("/{new}")
        }
    }
}

/// Puts `replacement` in the place of the matched prefix (of the whole path, where the match was no prefix).
///
/// Where the two parts meet stands one slash if the path had one there: `/foo/bar` with `/foo` → `/` is `/bar`, with `/`
/// → `/x` is `/x/foo/bar` (Gateway API, HTTPPathModifier.replacePrefixMatch). Envoy splices bytes and leaves slashes to
/// who writes the rewrite; for rewrites without such slips the results are the same.
pub(crate) fn replace_prefix(matched: &PathMatcher, path: &str, replacement: &str) -> String {
    let prefix = match matched {
        PathMatcher::Prefix(prefix) => prefix,
        // `/foo/` matches `/foo` too, so only `/foo` is sure to stand there.
        PathMatcher::ElementPrefix(prefix) => prefix.strip_suffix('/').unwrap_or(prefix),
        PathMatcher::Exact(_) | PathMatcher::Regex(_) => path,
    };
    let rest = path.strip_prefix(prefix).unwrap_or_default();
    let slash_between = prefix.ends_with('/') || rest.starts_with('/');
    if rest.is_empty() || !slash_between {
        return format!("{replacement}{rest}");
    }
    let head = replacement.strip_suffix('/').unwrap_or(replacement);
    let tail = rest.strip_prefix('/').unwrap_or(rest);
    format!("{head}/{tail}")
}

pub(crate) fn with_query(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}
