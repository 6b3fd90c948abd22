use super::get;
use crate::{PathMatcher, Redirect, RedirectPath};

fn redirect() -> Redirect {
    Redirect {
        scheme: None,
        host: None,
        port: None,
        path: None,
        status: 302,
        strip_query: false,
    }
}

/// Location for `http://example.com<path>` that arrived at a port.
fn location(redirect: &Redirect, path: &str, port: u16) -> Option<String> {
    let request = get(path, &[("host", "example.com:9999")]);
    let matched = PathMatcher::ElementPrefix("/foo".into());
    let value = redirect.location(&matched, &request, "http", port)?;
    Some(value.to_str().expect("ASCII").to_owned())
}

#[test]
fn the_port_follows_the_scheme_then_the_listener() {
    let with = |scheme: Option<&str>, port| Redirect {
        scheme: scheme.map(Into::into),
        port,
        ..redirect()
    };
    for (scheme, port, listener, expected) in [
        (None, None, 80, "http://example.com/foo"),
        (None, None, 8080, "http://example.com:8080/foo"),
        (None, None, 443, "http://example.com:443/foo"),
        (None, Some(80), 8080, "http://example.com/foo"),
        (None, Some(8083), 80, "http://example.com:8083/foo"),
        (Some("https"), None, 8080, "https://example.com/foo"),
        (Some("https"), Some(443), 80, "https://example.com/foo"),
        (
            Some("https"),
            Some(8443),
            80,
            "https://example.com:8443/foo",
        ),
        (Some("http"), None, 8080, "http://example.com/foo"),
        (Some("http"), Some(443), 80, "http://example.com:443/foo"),
    ] {
        let found = location(&with(scheme, port), "/foo", listener);
        assert_eq!(
            found.as_deref(),
            Some(expected),
            "{scheme:?} {port:?} {listener}"
        );
    }
}

#[test]
fn the_host_is_replaced_and_the_query_kept() {
    let to = Redirect {
        host: Some("example.org".into()),
        ..redirect()
    };
    assert_eq!(
        location(&to, "/foo?a=b", 80).as_deref(),
        Some("http://example.org/foo?a=b")
    );
}

#[test]
fn a_path_is_replaced_whole_or_by_prefix() {
    let with = |path| Redirect {
        path: Some(path),
        ..redirect()
    };
    for (path, expected) in [
        (RedirectPath::Full("/x".into()), "http://example.com/x?a=b"),
        (
            RedirectPath::Full("/x?c=d".into()),
            "http://example.com/x?c=d",
        ),
        (RedirectPath::Full("".into()), "http://example.com/?a=b"),
        (
            RedirectPath::Prefix("/x".into()),
            "http://example.com/x/bar?a=b",
        ),
        (
            RedirectPath::Prefix("/".into()),
            "http://example.com/bar?a=b",
        ),
        (
            RedirectPath::Prefix("".into()),
            "http://example.com/bar?a=b",
        ),
    ] {
        let to = with(path);
        assert_eq!(location(&to, "/foo/bar?a=b", 80).as_deref(), Some(expected));
    }
}

#[test]
fn the_query_can_be_dropped() {
    let to = Redirect {
        strip_query: true,
        ..redirect()
    };
    assert_eq!(
        location(&to, "/foo?a=b", 80).as_deref(),
        Some("http://example.com/foo")
    );
}

#[test]
fn a_replacement_cannot_become_part_of_the_host() {
    let to = Redirect {
        path: Some(RedirectPath::Full(".evil.org/".into())),
        ..redirect()
    };
    assert_eq!(
        location(&to, "/foo", 80).as_deref(),
        Some("http://example.com/.evil.org/")
    );
}

#[test]
fn a_request_without_a_host_cannot_be_redirected_unless_one_is_given() {
    let request = get("/foo", &[]);
    let matched = PathMatcher::Prefix("/".into());
    assert!(
        redirect()
            .location(&matched, &request, "http", 80)
            .is_none()
    );
    let to = Redirect {
        host: Some("example.org".into()),
        ..redirect()
    };
    assert!(to.location(&matched, &request, "http", 80).is_some());
}
