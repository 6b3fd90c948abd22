//! What becomes of a path, by the table of the Gateway API (HTTPPathModifier) and its edges.

use std::time::Duration;

use heddle_model::*;
use serde_json::{Value, json};

use super::{builders::*, resource};
use crate::{render, translate};

/// The one route of a mesh whose rule has these parts.
fn route(
    path: PathMatch,
    rewrite: Option<PathRewrite>,
    timeouts: Timeouts,
    retry: Option<RetryPolicy>,
) -> Value {
    let mut rule = rule(0, 2);
    rule.matches = RouteMatch {
        path,
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    rule.action = RouteAction::Forward {
        backends: vec![WeightedBackend {
            weight: 1,
            backend: Backend::Service(port_key(0, 80)),
            request_headers: Vec::new(),
            response_headers: Vec::new(),
        }],
        rewrite_path: rewrite,
        rewrite_host: None,
        timeouts,
        retry,
    };
    let mut mesh = empty();
    mesh.services.insert(key(0), service(0, 0).into());
    let table = RouteTable {
        key: table_key(0),
        rules: vec![rule.into()],
    };
    mesh.routes.insert(table_key(0), table.into());
    let snapshot = translate(&mesh, ROOTS);
    let name = table_key(0).to_string();
    let shown = resource(
        &snapshot,
        heddle_proto::type_url::ROUTE_CONFIGURATION,
        &name,
    );
    render::resource_value(shown)["virtual_hosts"][0]["routes"][0]["route"].clone()
}

fn rewritten(path: PathMatch, rewrite: PathRewrite) -> (Value, Value) {
    let route = route(path, Some(rewrite), Timeouts::default(), None);
    (
        route["prefix_rewrite"].clone(),
        route["regex_rewrite"].clone(),
    )
}

fn prefix(prefix: &str, replacement: &str) -> (Value, Value) {
    rewritten(
        PathMatch::Prefix(prefix.into()),
        PathRewrite::Prefix(replacement.into()),
    )
}

fn by_regex(pattern: &str, substitution: &str) -> (Value, Value) {
    (
        Value::Null,
        json!({ "pattern": pattern, "substitution": substitution }),
    )
}

fn by_prefix(replacement: &str) -> (Value, Value) {
    (json!(replacement), Value::Null)
}

#[test]
fn a_prefix_is_replaced_without_doubled_or_lost_slashes() {
    assert_eq!(prefix("/foo", "/bar"), by_prefix("/bar"));
    assert_eq!(prefix("/foo", "/bar/"), by_prefix("/bar"));
    assert_eq!(prefix("/foo", "/"), by_regex("^/foo/?", "/"));
    assert_eq!(prefix("/foo", ""), by_regex("^/foo/?", "/"));
    assert_eq!(prefix("/", "/bar"), by_regex("^/", "/bar/"));
    assert_eq!(prefix("/", "/"), (Value::Null, Value::Null));
}

#[test]
fn what_means_something_in_an_expression_is_escaped() {
    assert_eq!(prefix("/a.b+(c)", "/"), by_regex(r"^/a\.b\+\(c\)/?", "/"));
    assert_eq!(prefix("/", r"/a\1"), by_regex("^/", r"/a\\1/"));
}

#[test]
fn a_whole_path_is_replaced_whatever_matched() {
    let whole = PathRewrite::Full("/index.html".into());
    assert_eq!(
        rewritten(PathMatch::Prefix("/a".into()), whole),
        by_regex("^/.*$", "/index.html")
    );
    let whole = PathRewrite::Full("".into());
    assert_eq!(
        rewritten(PathMatch::Exact("/a".into()), whole),
        by_regex("^/.*$", "/")
    );
}

fn retry() -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        status_codes: vec![503],
        backoff: Some(Duration::from_millis(50)),
    }
}

#[test]
fn without_a_limit_there_is_none_rather_than_envoys_default() {
    let route = route(
        PathMatch::Prefix("/".into()),
        None,
        Timeouts::default(),
        None,
    );
    assert_eq!(route["timeout"], "0s");
}

#[test]
fn a_limit_for_one_try_is_the_whole_limit_where_there_is_only_one() {
    let timeouts = Timeouts {
        request: Some(Duration::from_secs(10)),
        backend_request: Some(Duration::from_secs(2)),
    };
    let once = route(PathMatch::Prefix("/".into()), None, timeouts.clone(), None);
    assert_eq!(once["timeout"], "2s");
    let again = route(PathMatch::Prefix("/".into()), None, timeouts, Some(retry()));
    assert_eq!(again["timeout"], "10s");
    assert_eq!(again["retry_policy"]["per_try_timeout"], "2s");
}

#[test]
fn the_longest_pause_between_tries_is_ten_times_the_first() {
    let route = route(
        PathMatch::Prefix("/".into()),
        None,
        Timeouts::default(),
        Some(retry()),
    );
    let pauses = json!({ "base_interval": "0.05s", "max_interval": "0.5s" });
    assert_eq!(route["retry_policy"]["retry_back_off"], pauses);
}
