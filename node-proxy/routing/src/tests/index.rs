//! An index changes nothing of what is found: compared with looking at one after the other.

use std::sync::Arc;

use http::request::Parts;
use proptest::prelude::*;

use super::{get, matching, regex, route, table, virtual_host};
use crate::{
    Domain, HeaderMatcher, PathMatcher, Route, RouteMatch, Routes, StringMatcher, VirtualHost,
};

fn path() -> impl Strategy<Value = String> {
    prop_oneof![
        "(/[ab]{0,2}){1,4}/?",
        "/[ab/]{0,6}",
        Just("/".to_owned()),
        "(/[ab\u{e9}]{0,2}){1,3}",
    ]
}

fn path_matcher() -> impl Strategy<Value = PathMatcher> {
    prop_oneof![
        3 => path().prop_map(|path| PathMatcher::Exact(path.as_str().into())),
        4 => path().prop_map(|path| PathMatcher::ElementPrefix(path.as_str().into())),
        3 => path().prop_map(|path| PathMatcher::Prefix(path.as_str().into())),
        1 => Just(PathMatcher::Prefix("".into())),
        1 => "[ab]{1,2}".prop_map(|part| PathMatcher::Regex(regex(&format!("/{part}.*")))),
    ]
}

fn route_match() -> impl Strategy<Value = RouteMatch> {
    let header = "[12]".prop_map(|value| HeaderMatcher {
        name: "x".into(),
        value: Some(StringMatcher::Exact(value.as_str().into())),
        invert: false,
    });
    (path_matcher(), prop::collection::vec(header, 0..2)).prop_map(|(path, headers)| RouteMatch {
        headers,
        ..matching(path)
    })
}

fn numbered(matches: Vec<RouteMatch>) -> Vec<Arc<Route>> {
    let numbered = matches.into_iter().enumerate();
    numbered
        .map(|(number, matches)| route(&number.to_string(), matches))
        .collect()
}

/// The reference: what Envoy's documentation says, word for word.
fn first<'a>(routes: &'a [Arc<Route>], request: &Parts) -> Option<&'a Arc<Route>> {
    routes.iter().find(|route| route.matches.matches(request))
}

fn domain() -> impl Strategy<Value = Domain> {
    let name = "[ab]{1,2}(\\.[ab]{1,2}){0,2}";
    prop_oneof![
        3 => name.prop_map(|name| Domain::Exact(name.as_str().into())),
        3 => name.prop_map(|name| Domain::Suffix(format!(".{name}").as_str().into())),
        1 => name.prop_map(|name| Domain::Suffix(name.as_str().into())),
        2 => name.prop_map(|name| Domain::Prefix(format!("{name}.").as_str().into())),
        1 => Just(Domain::Any),
    ]
}

/// The reference: (class, length) of the best domain, the first of equals.
fn best<'a>(hosts: &'a [VirtualHost], host: &str) -> Option<&'a VirtualHost> {
    let host = host.to_ascii_lowercase();
    let rank =
        |domain: &Domain| match domain {
            Domain::Any => Some((0, 0)),
            Domain::Prefix(prefix) => (host.len() > prefix.len() && host.starts_with(&**prefix))
                .then_some((1, prefix.len())),
            Domain::Suffix(suffix) => (host.len() > suffix.len() && host.ends_with(&**suffix))
                .then_some((2, suffix.len())),
            Domain::Exact(name) => (*host == **name).then_some((3, 0)),
        };
    let ranked = hosts.iter().flat_map(|one| {
        let ranks = one.domains.iter().filter_map(rank);
        ranks.map(move |rank| (rank, one))
    });
    let mut best: Option<((usize, usize), &VirtualHost)> = None;
    for (rank, one) in ranked {
        if best.is_none_or(|(known, _)| rank > known) {
            best = Some((rank, one));
        }
    }
    best.map(|(_, one)| one)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn the_first_route_that_matches_is_found(
        matches in prop::collection::vec(route_match(), 0..40),
        paths in prop::collection::vec(path(), 1..8),
        header in prop::option::of("[12]"),
    ) {
        let routes = numbered(matches);
        let indexed = Routes::from(routes.clone());
        for path in paths {
            let Ok(uri) = path.parse::<http::Uri>() else {
                continue;
            };
            let headers: Vec<_> = header.iter().map(|value| ("x", value.as_str())).collect();
            let request = get(&uri.to_string(), &headers);
            let (found, expected) = (indexed.find(&request), first(&routes, &request));
            prop_assert_eq!(found.map(|one| &one.name), expected.map(|one| &one.name), "{}", path);
        }
    }

    #[test]
    fn the_best_virtual_host_is_found(
        domains in prop::collection::vec(prop::collection::vec(domain(), 1..3), 0..12),
        hosts in prop::collection::vec("[abAB]{1,2}(\\.[abAB]{1,2}){0,3}|\\PC{0,6}", 1..8),
    ) {
        let numbered = domains.into_iter().enumerate();
        let all: Vec<VirtualHost> = numbered
            .map(|(number, domains)| virtual_host(&number.to_string(), domains, Vec::new()))
            .collect();
        let table = table(all.clone());
        for host in hosts {
            let found = table.virtual_host(&host).map(|one| &one.name);
            let expected = best(&all, crate::host_without_port(&host)).map(|one| &one.name);
            prop_assert_eq!(found, expected, "{}", host);
        }
    }
}

#[test]
fn an_earlier_expression_goes_before_a_later_exact_path() {
    let mut matches = vec![matching(PathMatcher::Exact("/z".into())); 9];
    matches[3] = matching(PathMatcher::Regex(regex("/a.*")));
    matches[5] = matching(PathMatcher::Exact("/ab".into()));
    matches[7] = matching(PathMatcher::Prefix("/".into()));
    let routes = Routes::from(numbered(matches));
    let name = |path: &str| {
        routes
            .find(&get(path, &[]))
            .map(|route| route.name.to_string())
    };
    assert_eq!(name("/ab").as_deref(), Some("3"));
    assert_eq!(name("/b").as_deref(), Some("7"));
    assert_eq!(name("/z").as_deref(), Some("0"));
}
