//! HTTPRoute and GRPCRoute.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Found, durations, filters, items, located, matches, service_has_port, text};

/// All rules of a route together may have this many matches (16 rules of 64 would be too many).
const MOST_MATCHES: usize = 128;

/// Checks a route.
pub(super) fn check(route: &Value, found: &mut Found) {
    let spec = &route["spec"];
    parents(&spec["parentRefs"], found);
    let matches = items(&spec["rules"])
        .iter()
        .map(|rule| items(&rule["matches"]).len());
    let few = matches.sum::<usize>() <= MOST_MATCHES;
    found.demand(
        few,
        "spec.rules",
        "all rules together have more than 128 matches",
    );
    let mut names = BTreeSet::new();
    for (path, rule) in located(&spec["rules"], "spec.rules") {
        let unique = rule["name"].as_str().is_none_or(|name| names.insert(name));
        found.demand(
            unique,
            format!("{path}.name"),
            "another rule has the same name",
        );
        check_rule(rule, &path, found);
    }
}

fn check_rule(rule: &Value, path: &str, found: &mut Found) {
    for (path, condition) in located(&rule["matches"], &format!("{path}.matches")) {
        if condition["path"].is_object() {
            matches::http_path(&condition["path"], &format!("{path}.path"), found);
        }
        if condition["method"].is_object() {
            matches::grpc_method(&condition["method"], &format!("{path}.method"), found);
        }
    }
    filters::check(&rule["filters"], &format!("{path}.filters"), found);
    for (path, backend) in located(&rule["backendRefs"], &format!("{path}.backendRefs")) {
        service_has_port(backend, &path, found);
        filters::check(&backend["filters"], &format!("{path}.filters"), found);
    }
    redirects(rule, path, found);
    prefixes(rule, path, found);
    timeouts(&rule["timeouts"], &format!("{path}.timeouts"), found);
}

/// What is redirected is not forwarded as well.
fn redirects(rule: &Value, path: &str, found: &mut Found) {
    let forwards = !items(&rule["backendRefs"]).is_empty();
    let redirects = items(&rule["filters"])
        .iter()
        .any(|filter| filter["type"] == "RequestRedirect");
    found.demand(
        !(forwards && redirects),
        path,
        "RequestRedirect must not be used together with backendRefs",
    );
}

/// A prefix can only be replaced where exactly one is matched.
fn prefixes(rule: &Value, path: &str, found: &mut Found) {
    let mut backends = items(&rule["backendRefs"]).iter();
    let replaced = filters::replaces_prefix(&rule["filters"])
        || backends.any(|backend| filters::replaces_prefix(&backend["filters"]));
    let one_prefix = match items(&rule["matches"]) {
        [only] => only["path"]["type"] == "PathPrefix",
        _ => false,
    };
    let message = "ReplacePrefixMatch needs exactly one match, of type PathPrefix";
    found.demand(!replaced || one_prefix, path, message);
}

fn timeouts(timeouts: &Value, path: &str, found: &mut Found) {
    let limit = |name: &str| timeouts[name].as_str().and_then(durations::parse);
    let Some((request, backend)) = limit("request").zip(limit("backendRequest")) else {
        return;
    };
    // A request without a limit is written 0s.
    let holds = request.is_zero() || backend <= request;
    found.demand(
        holds,
        path,
        "backendRequest must not be longer than request",
    );
}

/// References to the same parent must each name another part of it.
fn parents(parents: &Value, found: &mut Found) {
    let identity = |parent: &Value| {
        let fields = ["group", "kind", "namespace", "name"];
        fields.map(|field| text(&parent[field]).to_owned())
    };
    let part = |parent: &Value| {
        (
            text(&parent["sectionName"]).to_owned(),
            parent["port"].as_i64(),
        )
    };
    let mut seen = Vec::new();
    for (path, parent) in located(parents, "spec.parentRefs") {
        let (identity, part) = (identity(parent), part(parent));
        let others = seen.iter().filter(|(other, _)| *other == identity);
        let is_whole = |part: &(String, Option<i64>)| part.0.is_empty() && part.1.is_none();
        let clear = others
            .clone()
            .all(|(_, other)| *other != part && is_whole(other) == is_whole(&part));
        let message =
            "refers to the same parent as another one: give each its own sectionName or port";
        found.demand(clear, path, message);
        seen.push((identity, part));
    }
}
