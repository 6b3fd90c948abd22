use super::{get, matching, route, table, virtual_host};
use crate::{Domain, PathMatcher, RouteTable, host_without_port};

fn hosts() -> RouteTable {
    let host = |name: &str, domain| virtual_host(name, vec![domain], Vec::new());
    table(vec![
        host("any", Domain::Any),
        host("prefix", Domain::Prefix("www.".into())),
        host("long prefix", Domain::Prefix("www.example.".into())),
        host("suffix", Domain::Suffix(".com".into())),
        host("long suffix", Domain::Suffix(".example.com".into())),
        host("exact", Domain::Exact("www.example.com".into())),
    ])
}

#[test]
fn the_virtual_host_is_exact_then_longest_suffix_then_longest_prefix_then_any() {
    let hosts = hosts();
    for (host, expected) in [
        ("www.example.com", "exact"),
        ("api.example.com", "long suffix"),
        ("a.b.example.com", "long suffix"),
        ("example.com", "suffix"),
        ("www.example.org", "long prefix"),
        ("www.other.org", "prefix"),
        ("other.org", "any"),
        ("", "any"),
        // At least one character must stand where the star is.
        (".com", "any"),
        ("www.", "any"),
        ("www.example.", "prefix"),
    ] {
        let found = hosts.virtual_host(host).expect("there is a catch-all");
        assert_eq!(&*found.name, expected, "{host}");
    }
}

#[test]
fn case_and_port_of_the_host_do_not_matter() {
    let hosts = hosts();
    for host in [
        "WWW.Example.COM",
        "www.example.com:8080",
        "WWW.EXAMPLE.COM:",
    ] {
        let found = hosts.virtual_host(host).expect("there is a catch-all");
        assert_eq!(&*found.name, "exact", "{host}");
    }
}

#[test]
fn a_port_is_only_what_follows_a_hosts_single_colon_or_bracket() {
    for (host, expected) in [
        ("a:80", "a"),
        ("a", "a"),
        ("10.0.0.1:80", "10.0.0.1"),
        ("[fd00::1]:80", "[fd00::1]"),
        ("[fd00::1]", "[fd00::1]"),
        ("fd00::1", "fd00::1"),
        ("a:b", "a:b"),
        ("[broken", "[broken"),
        (":80", ""),
    ] {
        assert_eq!(host_without_port(host), expected, "{host}");
    }
}

#[test]
fn without_a_virtual_host_there_is_no_route() {
    let hosts = table(vec![virtual_host(
        "exact",
        vec![Domain::Exact("a".into())],
        vec![route("r", matching(PathMatcher::Prefix("/".into())))],
    )]);
    assert!(hosts.find("b", &get("/", &[])).is_none());
    assert!(hosts.find("a", &get("/", &[])).is_some());
}

#[test]
fn a_host_without_a_matching_route_does_not_fall_through_to_another() {
    let all = || matching(PathMatcher::Prefix("/".into()));
    let only_x = matching(PathMatcher::Exact("/x".into()));
    let hosts = table(vec![
        virtual_host("any", vec![Domain::Any], vec![route("all", all())]),
        virtual_host(
            "a",
            vec![Domain::Exact("a".into())],
            vec![route("x", only_x)],
        ),
    ]);
    assert!(hosts.find("a", &get("/y", &[])).is_none());
}

#[test]
fn the_first_route_that_matches_is_taken() {
    let prefix = |p: &str| matching(PathMatcher::Prefix(p.into()));
    let routes = vec![
        route("1", prefix("/a/b")),
        route("2", prefix("/a")),
        route("3", prefix("/")),
    ];
    let hosts = table(vec![virtual_host("any", vec![Domain::Any], routes)]);
    for (path, expected) in [("/a/b/c", "1"), ("/a/c", "2"), ("/c", "3")] {
        let found = hosts.find("h", &get(path, &[])).expect("a route");
        assert_eq!(&*found.name, expected, "{path}");
    }
}
