use std::{collections::HashMap, net::IpAddr};

use http::{HeaderName, HeaderValue, Method, Request, Uri, request::Parts};
use proptest::prelude::*;

use super::{
    matching,
    policy::{rbac, subject},
    regex, route, table, virtual_host,
};
use crate::{
    Domain, HeaderMatcher, HeaderOps, PathMatcher, PathRewrite, QueryMatcher, Redirect,
    RedirectPath, RouteMatch, StringMatcher, WeightedCluster, WeightedClusters,
    policy::{AddressSets, Permission, Principal, RbacAction},
};

fn path_matcher() -> impl Strategy<Value = PathMatcher> {
    let path = "/[a-c/.%;2ef]{0,8}";
    prop_oneof![
        path.prop_map(|p| PathMatcher::Exact(p.as_str().into())),
        path.prop_map(|p| PathMatcher::Prefix(p.as_str().into())),
        path.prop_map(|p| PathMatcher::ElementPrefix(p.as_str().into())),
        "[a-c]{1,3}".prop_map(|p| PathMatcher::Regex(regex(&format!("/{p}.*")))),
    ]
}

fn route_match() -> impl Strategy<Value = RouteMatch> {
    let header = "[a-c]{1,2}".prop_map(|name| HeaderMatcher {
        name: name.as_str().into(),
        value: Some(StringMatcher::Prefix("a".into())),
        invert: false,
    });
    let query = "[a-c]{1}".prop_map(|name| QueryMatcher {
        name: name.as_str().into(),
        value: None,
    });
    let parts = (
        path_matcher(),
        prop::collection::vec(header, 0..2),
        prop::collection::vec(query, 0..2),
    );
    parts.prop_map(|(path, headers, query)| RouteMatch {
        path,
        headers,
        query,
    })
}

/// Any request that the HTTP library lets through.
fn request() -> impl Strategy<Value = Parts> {
    let uri = prop_oneof![
        "/[ -~\u{80}-\u{ff}]{0,40}",
        "/[a-c/.%;2ef\\\\]{0,20}",
        "https?://[a-z.:\\[\\]]{1,10}/[!-~]{0,10}",
        "[ -~]{0,20}",
        Just("*".to_owned()),
    ];
    let uri = uri.prop_filter_map("no URI", |text| text.parse::<Uri>().ok());
    let headers = prop::collection::vec(
        ("[a-c]{1,2}|host", prop::collection::vec(any::<u8>(), 0..8)),
        0..4,
    );
    let method = prop_oneof![
        Just(Method::GET),
        Just(Method::CONNECT),
        Just(Method::OPTIONS)
    ];
    (uri, headers, method).prop_map(|(uri, headers, method)| {
        let mut parts = Request::new(()).into_parts().0;
        (parts.uri, parts.method) = (uri, method);
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("letters");
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                parts.headers.append(name, value);
            }
        }
        parts
    })
}

proptest! {
    #[test]
    fn no_request_makes_a_decision_panic(
        request in request(),
        host in "\\PC{0,20}",
        matches in route_match(),
        replacement in "[a-c/%$ ]{0,6}",
        port in any::<u16>(),
    ) {
        let found = table(vec![virtual_host(
            "any",
            vec![Domain::Any, Domain::Suffix(".a".into()), Domain::Prefix("a.".into())],
            vec![route("r", matches.clone())],
        )]);
        found.find(&host, &request);
        let rewrites = [
            PathRewrite::Prefix(replacement.as_str().into()),
            PathRewrite::Regex(regex::Regex::new("a|b").expect("valid"), replacement.as_str().into()),
        ];
        for rewrite in rewrites {
            let new = rewrite.apply(&matches.path, request.uri.path());
            prop_assert!(new.starts_with('/'));
        }
        let redirect = Redirect {
            scheme: None,
            host: None,
            port: None,
            path: Some(RedirectPath::Prefix(replacement.as_str().into())),
            status: 302,
            strip_query: false,
        };
        redirect.location(&matches.path, &request, "http", port);
        let rules = rbac(RbacAction::Allow, Permission::Path(matches.path), Principal::Any);
        rules.decide(&subject(Some(&request), None), &AddressSets::default());
    }

    #[test]
    fn what_an_allowance_and_a_denial_of_the_same_both_let_through_is_nothing(
        request in request(),
        path in path_matcher(),
    ) {
        let condition = Permission::OneOf(vec![
            Permission::Path(path),
            Permission::Not(Box::new(Permission::DestinationSet("missing".into()))),
        ]);
        let subject = subject(Some(&request), None);
        let judge = |action| {
            rbac(action, condition.clone(), Principal::Any)
                .decide(&subject, &AddressSets::default())
                .is_allowed()
        };
        prop_assert!(!(judge(RbacAction::Allow) && judge(RbacAction::Deny)));
    }

    #[test]
    fn a_path_that_an_allowance_takes_matches_as_it_stands(
        request in request(),
        path in path_matcher(),
    ) {
        let rules = rbac(RbacAction::Allow, Permission::Path(path.clone()), Principal::Any);
        let decision = rules.decide(&subject(Some(&request), None), &AddressSets::default());
        if decision.is_allowed() {
            prop_assert!(path.matches(request.uri.path()));
        }
    }

    #[test]
    fn the_order_of_virtual_hosts_does_not_matter(
        domains in prop::collection::btree_set("(\\*|\\*[.a-c]{1,4}|[.a-c]{1,4}\\*|[.a-c]{1,5})", 1..8),
        host in "[.a-c]{0,6}",
        seed in any::<u64>(),
    ) {
        let parse = |text: &String| match (text.as_str(), text.strip_prefix('*'), text.strip_suffix('*')) {
            ("*", _, _) => Domain::Any,
            (_, Some(suffix), _) => Domain::Suffix(suffix.into()),
            (_, _, Some(prefix)) => Domain::Prefix(prefix.into()),
            (exact, _, _) => Domain::Exact(exact.into()),
        };
        let mut hosts: Vec<_> = domains
            .iter()
            .map(|text| virtual_host(text, vec![parse(text)], Vec::new()))
            .collect();
        let before = table(hosts.clone()).virtual_host(&host).map(|found| found.name.clone());
        let turns = usize::try_from(seed % 7).expect("small") % hosts.len();
        hosts.rotate_left(turns);
        hosts.reverse();
        let after = table(hosts).virtual_host(&host).map(|found| found.name.clone());
        prop_assert_eq!(before, after);
    }

    #[test]
    fn the_first_matching_route_stays_the_first_whatever_follows(
        request in request(),
        routes in prop::collection::vec(route_match(), 1..6),
    ) {
        let expected = routes.iter().position(|matches| matches.matches(&request));
        let routes = routes
            .into_iter()
            .enumerate()
            .map(|(index, matches)| route(&index.to_string(), matches))
            .collect();
        let hosts = table(vec![virtual_host("any", vec![Domain::Any], routes)]);
        let found = hosts.find("h", &request).map(|route| route.name.to_string());
        prop_assert_eq!(found, expected.map(|index| index.to_string()));
    }

    #[test]
    fn each_cluster_is_picked_exactly_by_its_weight(
        weights in prop::collection::vec(0_u32..20, 1..6),
    ) {
        let cluster = |(index, weight): (usize, &u32)| WeightedCluster {
            cluster: Some(index.to_string().into()),
            weight: *weight,
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
        };
        let total: u32 = weights.iter().sum();
        let clusters = WeightedClusters::new(weights.iter().enumerate().map(cluster).collect());
        let Some(clusters) = clusters else {
            prop_assert_eq!(total, 0);
            return Ok(());
        };
        let mut picked: HashMap<String, u32> = HashMap::new();
        // As many points as weights, each at the beginning of its own part of the range.
        let points = (0..u128::from(total)).map(|n| (n << 64).div_ceil(total.into()) as u64);
        for point in points {
            let cluster = clusters.pick(point).cluster.as_ref().expect("named");
            *picked.entry(cluster.to_string()).or_default() += 1;
        }
        for (index, weight) in weights.iter().enumerate() {
            prop_assert_eq!(picked.get(&index.to_string()).copied().unwrap_or(0), *weight);
        }
    }

    #[test]
    fn a_plain_path_is_judged_like_a_route_judges_it(
        path in "/[a-c]{1,3}(/[a-c]{1,3}){0,3}/?",
        matcher in path_matcher(),
    ) {
        let matches = matching(matcher.clone());
        let request = super::get(&path, &[]);
        let rules = rbac(RbacAction::Allow, Permission::Path(matcher), Principal::Any);
        let decision = rules.decide(&subject(Some(&request), None), &AddressSets::default());
        prop_assert_eq!(decision.is_allowed(), matches.matches(&request));
    }

    #[test]
    fn blocks_and_sets_of_the_same_addresses_decide_alike(source in any::<[u8; 4]>(), set in prop::collection::btree_set(any::<[u8; 4]>(), 0..4)) {
        let addresses = set.iter().map(|octets| IpAddr::from(*octets)).collect();
        let sets = AddressSets(HashMap::from([("set".into(), std::sync::Arc::new(addresses))]));
        let blocks = set.iter().map(|octets| Principal::SourceBlock(IpAddr::from(*octets).into()));
        let by_block = rbac(RbacAction::Allow, Permission::Any, Principal::OneOf(blocks.collect()));
        let by_set = rbac(RbacAction::Allow, Permission::Any, Principal::SourceSet("set".into()));
        let mut subject = subject(None, None);
        subject.source = source.into();
        prop_assert_eq!(
            by_block.decide(&subject, &sets).is_allowed(),
            by_set.decide(&subject, &sets).is_allowed()
        );
    }
}
