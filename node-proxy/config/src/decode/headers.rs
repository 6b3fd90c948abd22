//! Changes to headers.

use heddle_proto::envoy::config::{
    core::v3::{HeaderValueOption, header_value_option::HeaderAppendAction},
    route::v3::{Route, RouteConfiguration, VirtualHost, weighted_cluster::ClusterWeight},
};
use heddle_routing::{HeaderOp, HeaderOps};
use http::{HeaderName, HeaderValue};

use super::error::{At, DecodeError, Decoded, each, refuse};

/// What one level changes.
pub(crate) struct Changes {
    pub(crate) request: Vec<HeaderOp>,
    pub(crate) response: Vec<HeaderOp>,
}

/// A level (a route, a virtual host, ...) that changes headers: four fields of the same names in each.
pub(crate) trait ChangesHeaders {
    /// Reads the four fields.
    fn header_changes(&self) -> Decoded<Changes>;
}

macro_rules! changes_headers {
    ($($level:ty),*) => {$(
        impl ChangesHeaders for $level {
            fn header_changes(&self) -> Decoded<Changes> {
                let (add, remove) = (&self.request_headers_to_add, &self.request_headers_to_remove);
                let request = changes("request", add, remove)?;
                let (add, remove) = (&self.response_headers_to_add, &self.response_headers_to_remove);
                let response = changes("response", add, remove)?;
                Ok(Changes { request, response })
            }
        }
    )*};
}

changes_headers!(RouteConfiguration, VirtualHost, Route, ClusterWeight);

/// The two lists of one level (a route, a virtual host, ...). What is removed is removed before anything is added, as
/// Envoy does.
fn changes(side: &str, add: &[HeaderValueOption], remove: &[String]) -> Decoded<Vec<HeaderOp>> {
    let mut ops = each(&format!("{side}_headers_to_remove"), remove, |name| {
        Ok(HeaderOp::Remove(header_name(name)?))
    })?;
    let added = each(&format!("{side}_headers_to_add"), add, option)?;
    ops.extend(added.into_iter().flatten());
    Ok(ops)
}

/// Levels in the order in which they apply.
pub(crate) fn in_order(levels: impl IntoIterator<Item = Vec<HeaderOp>>) -> HeaderOps {
    HeaderOps(levels.into_iter().flatten().collect())
}

fn option(option: &HeaderValueOption) -> Decoded<Option<HeaderOp>> {
    let Some(header) = &option.header else {
        return refuse("missing").at("header");
    };
    let name = header_name(&header.key).at("header.key")?;
    let value = if header.raw_value.is_empty() {
        literal(&header.value).at("header.value")?
    } else {
        header.raw_value.clone()
    };
    if value.is_empty() && !option.keep_empty_value {
        return Ok(None);
    }
    let value = HeaderValue::from_bytes(&value)
        .map_err(|_| DecodeError::new("has bytes that no header value may have"))
        .at("header.value")?;
    Ok(Some(match replaces(option)? {
        true => HeaderOp::Set(name, value),
        false => HeaderOp::Append(name, value),
    }))
}

fn replaces(option: &HeaderValueOption) -> Decoded<bool> {
    match (
        &option.append,
        HeaderAppendAction::try_from(option.append_action),
    ) {
        // The deprecated field, where a sender still sets it.
        (Some(append), Ok(HeaderAppendAction::AppendIfExistsOrAdd)) => Ok(!append.value),
        (None, Ok(HeaderAppendAction::AppendIfExistsOrAdd)) => Ok(false),
        (None, Ok(HeaderAppendAction::OverwriteIfExistsOrAdd)) => Ok(true),
        _ => refuse("not understood by this proxy").at("append_action"),
    }
}

/// Names that are part of how a message is framed and routed are not a header change's business (Envoy refuses them too).
fn header_name(name: &str) -> Decoded<HeaderName> {
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        return refuse(format_args!("{name:?} must not be changed this way"));
    }
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| DecodeError::new(format_args!("{name:?} is no header name")))
}

/// A value is a format string in Envoy: `%%` is a percent sign, `%REQ(x)%` and others are commands.
fn literal(value: &str) -> Decoded<Vec<u8>> {
    let mut parts = value.split("%%");
    let first = parts.next().unwrap_or_default();
    let mut out = String::with_capacity(value.len());
    out.push_str(first);
    for part in parts {
        out.push('%');
        out.push_str(part);
    }
    if value.split("%%").any(|part| part.contains('%')) {
        return refuse("format commands (%...%) are not understood by this proxy");
    }
    Ok(out.into_bytes())
}
