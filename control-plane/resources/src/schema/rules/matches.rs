//! Conditions of a rule.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{Found, text};

/// RFC 3986 pchar, and slashes.
static PATH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+$").ok());
static GRPC_SERVICE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^(?i)\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$").ok());
static GRPC_METHOD: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z_][A-Za-z_0-9]*$").ok());

/// Checks the path of an HTTPRoute's match.
pub(super) fn http_path(condition: &Value, path: &str, found: &mut Found) {
    if !matches!(text(&condition["type"]), "Exact" | "PathPrefix") {
        return;
    }
    let value = text(&condition["value"]);
    let field = format!("{path}.value");
    found.demand(value.starts_with('/'), &field, "must begin with /");
    for part in ["//", "/./", "/../", "%2f", "%2F", "#"] {
        found.demand(
            !value.contains(part),
            &field,
            &format!("must not contain {part}"),
        );
    }
    for end in ["/..", "/."] {
        found.demand(
            !value.ends_with(end),
            &field,
            &format!("must not end with {end}"),
        );
    }
    found.demand(
        is_match(&PATH, value),
        &field,
        "has a character that is not allowed in a path",
    );
}

/// Checks the method of a GRPCRoute's match.
pub(super) fn grpc_method(condition: &Value, path: &str, found: &mut Found) {
    let (service, method) = (condition["service"].as_str(), condition["method"].as_str());
    found.demand(
        service.is_some() || method.is_some(),
        path,
        "service or method must be given",
    );
    if condition["type"] == "RegularExpression" {
        return;
    }
    let holds = service.is_none_or(|service| is_match(&GRPC_SERVICE, service));
    found.demand(
        holds,
        format!("{path}.service"),
        "is not the name of a gRPC service",
    );
    let holds = method.is_none_or(|method| is_match(&GRPC_METHOD, method));
    found.demand(
        holds,
        format!("{path}.method"),
        "is not the name of a gRPC method",
    );
}

fn is_match(regex: &LazyLock<Option<Regex>>, text: &str) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(text))
}
