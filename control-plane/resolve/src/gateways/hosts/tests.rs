use heddle_model::HostMatch;

use super::{covers, intersection, parse, specificity};

fn host(text: &str) -> HostMatch {
    if text == "*" {
        HostMatch::Any
    } else {
        parse(text).expect("a host name")
    }
}

#[test]
fn a_host_name_is_a_name_or_a_wildcard_before_one() {
    for good in [
        "example.com",
        "EXAMPLE.com",
        "a",
        "*.com",
        "*.example.com",
        "1.example",
    ] {
        assert!(parse(good).is_some(), "{good}");
    }
    for bad in [
        "", "*", "*.", "a.*", "*a.com", "*.*.com", "10.0.0.1", "a..b", "a:80", "a/b", "-a", "a-",
        "ä.de",
    ] {
        assert!(parse(bad).is_none(), "{bad:?}");
    }
}

#[test]
fn the_intersection_is_the_narrower_of_both() {
    let cases = [
        ("*", "a.com", Some("a.com")),
        ("a.com", "a.com", Some("a.com")),
        ("a.com", "b.com", None),
        ("*.com", "a.com", Some("a.com")),
        ("*.com", "x.a.com", Some("x.a.com")),
        ("*.com", "*.a.com", Some("*.a.com")),
        ("*.a.com", "a.com", None),
        ("*.a.com", "ba.com", None),
        ("*.a.com", "*.b.com", None),
        ("*", "*", Some("*")),
    ];
    for (one, other, wanted) in cases {
        let wanted = wanted.map(host);
        assert_eq!(
            intersection(&host(one), &host(other)),
            wanted,
            "{one} and {other}"
        );
        assert_eq!(
            intersection(&host(other), &host(one)),
            wanted,
            "{other} and {one}"
        );
    }
}

#[test]
fn a_host_covers_itself_and_an_exact_one_never_a_wildcard() {
    for text in ["*", "*.com", "a.com"] {
        assert!(covers(&host(text), &host(text)));
    }
    assert!(!covers(&host("a.com"), &host("*.com")));
    assert!(!covers(&host("*.com"), &host("*")));
}

#[test]
fn an_exact_name_goes_before_every_wildcard_and_longer_before_shorter() {
    let mut hosts = [
        "*",
        "*.com",
        "a.com",
        "*.very.long.example.com",
        "long.a.com",
    ]
    .map(host);
    hosts.sort_by_key(|host| std::cmp::Reverse(specificity(host)));
    assert_eq!(
        hosts,
        [
            "long.a.com",
            "a.com",
            "*.very.long.example.com",
            "*.com",
            "*"
        ]
        .map(host)
    );
}
