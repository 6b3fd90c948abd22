//! Filters: what a rule does besides forwarding.

use std::{collections::BTreeSet, sync::Arc};

use heddle_model::{HeaderMutation, PathMatch, PathRewrite, Redirect, RouteMatch};

use super::{
    matches::token,
    raw::{RawFilter, RawHeaders, RawRedirect, RawReplace, RawRewrite},
};
use crate::names::{excerpt, is_dns_subdomain, no_port, port_number};

/// A filter that cannot be honoured.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// The condition's reason.
    pub(super) reason: &'static str,
    /// Field below the rule or the backend.
    pub(super) field: String,
    /// What is wrong.
    pub(super) message: String,
}

pub(super) const UNSUPPORTED_VALUE: &str = "UnsupportedValue";
pub(super) const INCOMPATIBLE_FILTERS: &str = "IncompatibleFilters";

impl Refused {
    pub(super) fn value(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: UNSUPPORTED_VALUE,
            field: field.into(),
            message: message.into(),
        }
    }

    pub(super) fn incompatible(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            reason: INCOMPATIBLE_FILTERS,
            field: field.into(),
            message: message.into(),
        }
    }
}

/// All filters of a rule or of a backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Filters {
    pub(super) request_headers: Vec<HeaderMutation>,
    pub(super) response_headers: Vec<HeaderMutation>,
    pub(super) redirect: Option<Redirect>,
    pub(super) rewrite_path: Option<PathRewrite>,
    pub(super) rewrite_host: Option<Arc<str>>,
}

/// Reads the filters of a rule or of a backend; `matches` are the rule's.
pub(super) fn read(raw: &[RawFilter], matches: &[RouteMatch]) -> Result<Filters, Refused> {
    let mut filters = Filters::default();
    let mut seen = BTreeSet::new();
    for (index, filter) in raw.iter().enumerate() {
        let at = format!("filters[{index}]");
        let missing = |part: &str| Refused::value(format!("{at}.{part}"), "is missing");
        let kind = match filter {
            RawFilter::RequestHeaders(part) => {
                let part = part
                    .as_ref()
                    .ok_or_else(|| missing("requestHeaderModifier"))?;
                filters.request_headers = headers(part, &format!("{at}.requestHeaderModifier"))?;
                "RequestHeaderModifier"
            }
            RawFilter::ResponseHeaders(part) => {
                let part = part
                    .as_ref()
                    .ok_or_else(|| missing("responseHeaderModifier"))?;
                filters.response_headers = headers(part, &format!("{at}.responseHeaderModifier"))?;
                "ResponseHeaderModifier"
            }
            RawFilter::Redirect(part) => {
                let part = part.as_ref().ok_or_else(|| missing("requestRedirect"))?;
                filters.redirect = Some(redirect(part, matches, &format!("{at}.requestRedirect"))?);
                "RequestRedirect"
            }
            RawFilter::Rewrite(part) => {
                let part = part.as_ref().ok_or_else(|| missing("urlRewrite"))?;
                let at = format!("{at}.urlRewrite");
                filters.rewrite_path = path(part, matches, &at)?;
                filters.rewrite_host = part
                    .hostname
                    .as_deref()
                    .map(|host| hostname(host, &at))
                    .transpose()?;
                "URLRewrite"
            }
            RawFilter::Unsupported(kind) => {
                return Err(Refused::value(
                    format!("{at}.type"),
                    format!("{kind} is not supported"),
                ));
            }
        };
        if !seen.insert(kind) {
            return Err(Refused::incompatible(
                format!("{at}.type"),
                format!("{kind} is there twice"),
            ));
        }
    }
    if seen.contains("RequestRedirect") && seen.contains("URLRewrite") {
        return Err(Refused::incompatible(
            "filters",
            "RequestRedirect and URLRewrite exclude each other",
        ));
    }
    Ok(filters)
}

/// set, add, remove. A name may stand in each list once; the first counts.
fn headers(raw: &RawHeaders, at: &str) -> Result<Vec<HeaderMutation>, Refused> {
    let mut mutations = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, (name, value)) in raw.set.iter().enumerate() {
        let (name, value) = header(name, value, &format!("{at}.set[{index}]"))?;
        if seen.insert(("set", name.clone())) {
            mutations.push(HeaderMutation::Set { name, value });
        }
    }
    for (index, (name, value)) in raw.add.iter().enumerate() {
        let (name, value) = header(name, value, &format!("{at}.add[{index}]"))?;
        if seen.insert(("add", name.clone())) {
            mutations.push(HeaderMutation::Add { name, value });
        }
    }
    for (index, name) in raw.remove.iter().enumerate() {
        let name = header_name(name, &format!("{at}.remove[{index}]"))?;
        if seen.insert(("remove", name.clone())) {
            mutations.push(HeaderMutation::Remove { name });
        }
    }
    Ok(mutations)
}

fn header_name(name: &str, at: &str) -> Result<Arc<str>, Refused> {
    let name = token(name).map_err(|message| Refused::value(at, message))?;
    Ok(Arc::from(name.to_ascii_lowercase()))
}

fn header(name: &str, value: &str, at: &str) -> Result<(Arc<str>, Arc<str>), Refused> {
    let name = header_name(name, &format!("{at}.name"))?;
    // RFC 9110 section 5.5: no control characters; a line break would begin another header.
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(Refused::value(
            format!("{at}.value"),
            format!("{} is not a header value", excerpt(value)),
        ));
    }
    Ok((name, Arc::from(value)))
}

fn redirect(raw: &RawRedirect, matches: &[RouteMatch], at: &str) -> Result<Redirect, Refused> {
    let status = match raw.status {
        None => 302,
        Some(status) => u16::try_from(status)
            .ok()
            .filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308))
            .ok_or_else(|| {
                let message = format!("{status} is not one of 301, 302, 303, 307, 308");
                Refused::value(format!("{at}.statusCode"), message)
            })?,
    };
    let port = raw.port.map(|port| {
        port_number(port).ok_or_else(|| Refused::value(format!("{at}.port"), no_port(port)))
    });
    Ok(Redirect {
        scheme: raw.scheme.map(Arc::from),
        host: raw
            .hostname
            .as_deref()
            .map(|host| hostname(host, at))
            .transpose()?,
        port: port.transpose()?,
        path: raw
            .path
            .as_ref()
            .map(|path| replace(path, matches, at))
            .transpose()?,
        status,
    })
}

fn path(
    raw: &RawRewrite,
    matches: &[RouteMatch],
    at: &str,
) -> Result<Option<PathRewrite>, Refused> {
    raw.path
        .as_ref()
        .map(|path| replace(path, matches, at))
        .transpose()
}

fn hostname(text: &str, at: &str) -> Result<Arc<str>, Refused> {
    let lower = text.to_ascii_lowercase();
    if is_dns_subdomain(&lower) {
        Ok(Arc::from(lower))
    } else {
        Err(Refused::value(
            format!("{at}.hostname"),
            format!("{} is not a host name", excerpt(text)),
        ))
    }
}

fn replace(raw: &RawReplace, matches: &[RouteMatch], at: &str) -> Result<PathRewrite, Refused> {
    let (field, value) = match raw {
        RawReplace::Full(value) => (format!("{at}.path.replaceFullPath"), value),
        RawReplace::Prefix(value) => (format!("{at}.path.replacePrefixMatch"), value),
    };
    let value = value
        .as_deref()
        .ok_or_else(|| Refused::value(field.as_str(), "is missing"))?;
    if value
        .chars()
        .any(|c| c.is_control() || matches!(c, ' ' | '?' | '#'))
    {
        return Err(Refused::value(
            field,
            format!("{} has a character that no path has", excerpt(value)),
        ));
    }
    let prefix = matches!(raw, RawReplace::Prefix(_));
    if prefix
        && !matches
            .iter()
            .all(|one| matches!(one.path, PathMatch::Prefix(_)))
    {
        return Err(Refused::value(
            field,
            "needs a rule that matches by PathPrefix only",
        ));
    }
    // A path is absolute; `v2` can only mean `/v2`.
    let absolute: Arc<str> = if value.starts_with('/') {
        Arc::from(value)
    } else {
        Arc::from(format!("/{value}"))
    };
    if !prefix {
        return Ok(PathRewrite::Full(absolute));
    }
    // As in a match, a slash at the end means nothing: `/a/x` with `/a` replaced by `/b/` is `/b/x`.
    Ok(PathRewrite::Prefix(match absolute.strip_suffix('/') {
        Some("") | None => absolute,
        Some(shorter) => Arc::from(shorter),
    }))
}
