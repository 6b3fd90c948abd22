use super::{get, matching, regex};
use crate::{HeaderMatcher, PathMatcher, QueryMatcher, StringMatcher};

#[test]
fn a_path_is_matched_without_its_query() {
    let rows: [(PathMatcher, &[&str], &[&str]); 6] = [
        (
            PathMatcher::Exact("/a".into()),
            &["/a", "/a?b=c"],
            &["/a/", "/ab", "/A", "/"],
        ),
        (
            PathMatcher::Prefix("/a".into()),
            &["/a", "/ab", "/a/b?x"],
            &["/b", "/"],
        ),
        (PathMatcher::Prefix("/".into()), &["/", "/x", "/x?y"], &[]),
        (
            PathMatcher::ElementPrefix("/a".into()),
            &["/a", "/a/", "/a/b", "/a?b"],
            &["/ab", "/", "/b/a"],
        ),
        (
            PathMatcher::ElementPrefix("/a/".into()),
            &["/a", "/a/", "/a/b"],
            &["/ab"],
        ),
        (
            PathMatcher::Regex(regex("/a/[0-9]+")),
            &["/a/1", "/a/12?x"],
            &["/a/", "/a/1/b", "/x/a/1"],
        ),
    ];
    for (matcher, holds, fails) in rows {
        let matches = matching(matcher);
        for path in holds {
            assert!(
                matches.matches(&get(path, &[])),
                "{matches:?} must match {path}"
            );
        }
        for path in fails {
            assert!(
                !matches.matches(&get(path, &[])),
                "{matches:?} must not match {path}"
            );
        }
    }
}

#[test]
fn the_element_prefix_of_the_root_matches_everything() {
    let root = matching(PathMatcher::ElementPrefix("/".into()));
    for path in ["/", "/a", "/a/b"] {
        assert!(root.matches(&get(path, &[])), "{path}");
    }
}

fn header(name: &str, value: Option<StringMatcher>, invert: bool) -> HeaderMatcher {
    HeaderMatcher {
        name: name.into(),
        value,
        invert,
    }
}

#[test]
fn each_kind_of_string_condition_looks_at_the_whole_value() {
    for (matcher, value, expected) in [
        (StringMatcher::Exact("ab".into()), "ab", true),
        (StringMatcher::Exact("ab".into()), "abc", false),
        (StringMatcher::Prefix("ab".into()), "abc", true),
        (StringMatcher::Suffix("bc".into()), "abc", true),
        (StringMatcher::Suffix("ab".into()), "abc", false),
        (StringMatcher::Contains("b".into()), "abc", true),
        (StringMatcher::Contains("".into()), "", true),
        (StringMatcher::Contains("abcd".into()), "abc", false),
        (StringMatcher::Regex(regex("a|b")), "b", true),
        (StringMatcher::Regex(regex("a|b")), "ab", false),
    ] {
        assert_eq!(matcher.matches(value), expected, "{matcher:?} on {value}");
    }
}

#[test]
fn several_values_of_a_header_are_joined_with_a_comma() {
    let request = get("/", &[("x-a", "1"), ("x-a", "2")]);
    assert!(header("x-a", Some(StringMatcher::Exact("1,2".into())), false).matches(&request));
    assert!(!header("x-a", Some(StringMatcher::Exact("1".into())), false).matches(&request));
}

#[test]
fn a_condition_on_an_absent_header_fails_inverted_or_not() {
    let request = get("/", &[]);
    let value = || Some(StringMatcher::Exact("1".into()));
    assert!(!header("x-a", value(), false).matches(&request));
    assert!(!header("x-a", value(), true).matches(&request));
    assert!(!header("x-a", None, false).matches(&request));
    assert!(header("x-a", None, true).matches(&request));
}

#[test]
fn an_inverted_condition_holds_for_another_value() {
    let request = get("/", &[("x-a", "2")]);
    let value = || Some(StringMatcher::Exact("1".into()));
    assert!(header("x-a", value(), true).matches(&request));
}

#[test]
fn method_host_scheme_and_path_are_headers_too() {
    let absolute = get("https://example.com:8443/a?b=c", &[]);
    for (name, value) in [
        (":method", "GET"),
        (":authority", "example.com:8443"),
        ("host", "example.com:8443"),
        (":scheme", "https"),
        (":path", "/a?b=c"),
    ] {
        let matcher = header(name, Some(StringMatcher::Exact(value.into())), false);
        assert!(matcher.matches(&absolute), "{name}");
    }
    let from_host = get("/", &[("host", "example.com")]);
    let matcher = header(
        ":authority",
        Some(StringMatcher::Exact("example.com".into())),
        false,
    );
    assert!(matcher.matches(&from_host));
}

fn query(name: &str, value: &str) -> QueryMatcher {
    QueryMatcher {
        name: name.into(),
        value: Some(StringMatcher::Exact(value.into())),
    }
}

#[test]
fn query_parameters_are_decoded_and_the_first_of_a_name_counts() {
    for (text, name, value, expected) in [
        ("a=1&a=2", "a", "1", true),
        ("a=1&a=2", "a", "2", false),
        ("x=y&a=1", "a", "1", true),
        ("a=%31", "a", "1", true),
        ("%61=1", "a", "1", true),
        ("a=b%20c", "a", "b c", true),
        ("a=b+c", "a", "b+c", true),
        ("a", "a", "", true),
        ("a=", "a", "", true),
        ("a=1=2", "a", "1=2", true),
        ("A=1", "a", "1", false),
        ("", "a", "", false),
        ("a=%zz%2", "a", "%zz%2", true),
    ] {
        assert_eq!(query(name, value).matches(text), expected, "{text}");
    }
}

#[test]
fn all_conditions_must_hold() {
    let mut matches = matching(PathMatcher::Prefix("/".into()));
    matches.headers.push(header("x-a", None, false));
    matches.query.push(query("q", "1"));
    assert!(matches.matches(&get("/?q=1", &[("x-a", "")])));
    assert!(!matches.matches(&get("/?q=1", &[])));
    assert!(!matches.matches(&get("/", &[("x-a", "")])));
    assert!(!matches.matches(&get("/?q=2", &[("x-a", "")])));
}
