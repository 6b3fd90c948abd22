use super::{get, matching};
use crate::{Forward, HeaderOps, PathMatcher, PathRewrite, WeightedCluster, WeightedClusters};

fn elements(prefix: &str) -> PathMatcher {
    PathMatcher::ElementPrefix(prefix.into())
}

#[test]
fn a_prefix_is_replaced_as_the_gateway_api_says() {
    // The table of HTTPPathModifier.replacePrefixMatch.
    for (path, prefix, replacement, expected) in [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/foo/bar", "/", "/xyz", "/xyz/foo/bar"),
    ] {
        let rewrite = PathRewrite::Prefix(replacement.into());
        let new = rewrite.apply(&elements(prefix), path);
        assert_eq!(new, expected, "{path} with {prefix} -> {replacement}");
    }
}

#[test]
fn a_byte_prefix_is_replaced_byte_for_byte() {
    for (path, prefix, replacement, expected) in [
        ("/foobar", "/foo", "/x", "/xbar"),
        ("/api/v1", "/api/", "/", "/v1"),
        ("/v1", "/", "/api/", "/api/v1"),
        ("/v1", "/", "/api", "/api/v1"),
        ("/api/v1", "/api", "/", "/v1"),
    ] {
        let rewrite = PathRewrite::Prefix(replacement.into());
        let new = rewrite.apply(&PathMatcher::Prefix(prefix.into()), path);
        assert_eq!(new, expected, "{path} with {prefix} -> {replacement}");
    }
}

#[test]
fn where_no_prefix_matched_the_whole_path_is_replaced() {
    let rewrite = PathRewrite::Prefix("/x".into());
    assert_eq!(rewrite.apply(&PathMatcher::Exact("/a".into()), "/a"), "/x");
}

#[test]
fn an_expression_replaces_all_its_matches() {
    let rewrite = |pattern: &str, text: &str| {
        PathRewrite::Regex(regex::Regex::new(pattern).expect("valid"), text.into())
    };
    let all = elements("/");
    assert_eq!(rewrite("^/.*$", "/full").apply(&all, "/a/b"), "/full");
    assert_eq!(rewrite("a", "b").apply(&all, "/a/a"), "/b/b");
    assert_eq!(
        rewrite("^/(x)/(y)$", "/${2}/${1}").apply(&all, "/x/y"),
        "/y/x"
    );
    assert_eq!(rewrite("^/", "").apply(&all, "/x"), "/x");
}

fn forward(rewrite: Option<PathRewrite>) -> Forward {
    let cluster = WeightedCluster {
        cluster: None,
        weight: 1,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    };
    Forward {
        clusters: WeightedClusters::new(vec![cluster]).expect("a weight"),
        path_rewrite: rewrite,
        host_rewrite: None,
        timeout: None,
        retry: None,
    }
}

#[test]
fn the_query_stays_when_the_path_is_rewritten() {
    let to = forward(Some(PathRewrite::Prefix("/x".into())));
    let matches = matching(elements("/foo"));
    let uri = get("/foo/bar?a=b", &[]).uri;
    let new = to
        .path_and_query(&matches, &uri)
        .expect("valid")
        .expect("changed");
    assert_eq!(new.as_str(), "/x/bar?a=b");
}

#[test]
fn without_a_rewrite_nothing_changes() {
    let uri = get("/foo", &[]).uri;
    let new = forward(None).path_and_query(&matching(elements("/foo")), &uri);
    assert_eq!(new, Ok(None));
}

#[test]
fn a_rewrite_to_what_is_no_path_is_an_error() {
    let to = forward(Some(PathRewrite::Prefix("/a b".into())));
    let error = to
        .path_and_query(&matching(elements("/foo")), &get("/foo", &[]).uri)
        .expect_err("a space");
    assert!(error.to_string().contains("/a b"), "{error}");
}
