use std::time::Duration;

use heddle_proto::{
    envoy::{
        config::{
            core::v3::{
                DataSource, Metadata, data_source::Specifier,
                header_value_option::HeaderAppendAction,
            },
            route::v3::{
                CorsPolicy, DirectResponseAction, NonForwardingAction, QueryParameterMatcher,
                RedirectAction, RetryPolicy as WireRetry, Route as WireRoute, RouteAction,
                RouteConfiguration, RouteMatch, VirtualHost,
                query_parameter_matcher::QueryParameterMatchSpecifier,
                redirect_action::{
                    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
                },
                route::Action as WireAction,
                route_action::{ClusterSpecifier, HostRewriteSpecifier},
                route_match::PathSpecifier,
            },
        },
        r#type::matcher::v3::RegexMatchAndSubstitute,
    },
    google::protobuf::{Struct, Value, value::Kind},
    pack,
};
use heddle_routing::{
    Action, Domain, Forward, HeaderOp, PathMatcher, Redirect, RedirectPath, RetryPolicy, RouteTable,
};
use http::{HeaderName, HeaderValue, Request};

use super::refused;
use crate::{
    decode::{DecodeError, route_configuration},
    testing::*,
};

fn decode(wire: &RouteConfiguration) -> Result<RouteTable, DecodeError> {
    route_configuration(&wire.name, &pack(wire))
}

fn one_route(route: WireRoute) -> Result<RouteTable, DecodeError> {
    decode(&routes("r", vec![route]))
}

#[track_caller]
fn action(wire: WireAction) -> Action {
    let table = one_route(route(all_paths(), wire)).expect("valid");
    table.virtual_hosts[0].routes[0].action.clone()
}

#[track_caller]
fn forward(wire: RouteAction) -> Forward {
    match action(WireAction::Route(wire)) {
        Action::Forward(forward) => forward,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn redirect(wire: RedirectAction) -> Redirect {
    match action(WireAction::Redirect(wire)) {
        Action::Redirect(redirect) => redirect,
        other => panic!("{other:?}"),
    }
}

/// Asserts that an action is refused, with this field below `virtual_hosts[0].routes[0]`.
#[track_caller]
fn refused_action(wire: WireAction, field: &str, words: &str) {
    let result = one_route(route(all_paths(), wire));
    refused(
        result,
        &format!("virtual_hosts[0].routes[0].{field}"),
        words,
    );
}

#[track_caller]
fn refused_match(wire: RouteMatch, field: &str, words: &str) {
    let result = one_route(route(wire, WireAction::Route(weighted(&[("c", 1)]))));
    refused(
        result,
        &format!("virtual_hosts[0].routes[0].match.{field}"),
        words,
    );
}

#[test]
fn weights_are_kept_and_an_invalid_backend_has_no_cluster() {
    let forward = forward(weighted(&[("a", 90), ("invalid-backend", 10), ("b", 0)]));
    let found: Vec<_> = forward
        .clusters
        .iter()
        .map(|c| (c.cluster.as_deref(), c.weight))
        .collect();
    assert_eq!(found, [(Some("a"), 90), (None, 10), (Some("b"), 0)]);
    assert_eq!(forward.timeout, None);
}

#[test]
fn a_single_cluster_gets_everything() {
    let forward = forward(RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster("c".to_owned())),
        ..RouteAction::default()
    });
    assert_eq!(
        forward.clusters.pick(u64::MAX).cluster.as_deref(),
        Some("c")
    );
    assert_eq!(
        forward.timeout,
        Some(Duration::from_secs(15)),
        "Envoy's default"
    );
}

#[test]
fn weights_that_add_up_to_nothing_or_too_much_are_refused() {
    for clusters in [&[("a", 0), ("b", 0)][..], &[]] {
        refused_action(
            WireAction::Route(weighted(clusters)),
            "route.weighted_clusters.clusters",
            "sum of weights is 0",
        );
    }
    refused_action(
        WireAction::Route(weighted(&[("a", u32::MAX), ("b", 1)])),
        "route.weighted_clusters.clusters",
        "4294967295",
    );
}

#[test]
fn paths_headers_queries_and_methods_are_matched() {
    use heddle_proto::envoy::config::route::v3::{
        HeaderMatcher, header_matcher::HeaderMatchSpecifier as H,
    };
    let header = |name: &str, specifier| HeaderMatcher {
        name: name.to_owned(),
        header_match_specifier: Some(specifier),
        ..HeaderMatcher::default()
    };
    let wire = RouteMatch {
        headers: vec![
            header(":method", H::StringMatch(exact("GET"))),
            header("X-Version", H::SafeRegexMatch(regex("v[0-9]+"))),
            header("x-old", H::PresentMatch(false)),
        ],
        query_parameters: vec![QueryParameterMatcher {
            name: "q".to_owned(),
            query_parameter_match_specifier: Some(QueryParameterMatchSpecifier::StringMatch(
                exact("1"),
            )),
        }],
        ..matching(PathSpecifier::PathSeparatedPrefix("/api".to_owned()))
    };
    let table = one_route(route(wire, WireAction::Route(weighted(&[("c", 1)])))).expect("valid");
    let finds = |method: &str, uri: &str, version: &str| {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("x-version", version);
        let (parts, ()) = request.body(()).expect("valid").into_parts();
        table.find("any", &parts).is_some()
    };
    assert!(finds("GET", "/api/x?q=1", "v2"));
    assert!(!finds("POST", "/api/x?q=1", "v2"));
    assert!(!finds("GET", "/apix?q=1", "v2"));
    assert!(!finds("GET", "/api?q=2", "v2"));
    assert!(!finds("GET", "/api?q=1", "v"));
}

#[test]
fn an_expression_must_match_the_whole_path() {
    let table = one_route(route(
        matching(PathSpecifier::SafeRegex(regex("/a|/b"))),
        WireAction::Route(weighted(&[("c", 1)])),
    ))
    .expect("valid");
    let PathMatcher::Regex(found) = &table.virtual_hosts[0].routes[0].matches.path else {
        panic!("no expression");
    };
    assert!(found.is_match("/a") && found.is_match("/b"));
    assert!(!found.is_match("/ab") && !found.is_match("/a/b") && !found.is_match("x/b"));
}

#[test]
fn expressions_that_are_wrong_or_too_big_are_refused() {
    for (pattern, words) in [
        ("(", "not a regular expression"),
        ("a)|(b", "not a regular expression"),
        ("", "empty"),
        ("(?:a{1000}){1000}", "compiles to more than"),
        (r"(\w{500}){500}", "compiles to more than"),
        (r"(a)\1", "not a regular expression"),
        ("(?=a)", "not a regular expression"),
        (&"(".repeat(60), "not a regular expression"),
        (&"a".repeat(5000), "longer than"),
        ("(?x)a # b", "not a regular expression"),
    ] {
        refused_match(
            matching(PathSpecifier::SafeRegex(regex(pattern))),
            "safe_regex.regex",
            words,
        );
    }
}

#[test]
fn a_match_that_is_not_understood_is_refused() {
    let with = |change: fn(&mut RouteMatch)| {
        let mut wire = all_paths();
        change(&mut wire);
        wire
    };
    refused_match(
        with(|m| m.path_specifier = None),
        "path_specifier",
        "missing",
    );
    refused_match(
        with(|m| {
            m.case_sensitive = Some(heddle_proto::google::protobuf::BoolValue { value: false });
        }),
        "case_sensitive",
        "not understood",
    );
    refused_match(
        with(|m| m.runtime_fraction = Some(Default::default())),
        "runtime_fraction",
        "not understood",
    );
    refused_match(
        with(|m| m.query_parameters.push(QueryParameterMatcher::default())),
        "query_parameters[0].name",
        "missing",
    );
    for prefix in ["/a/", "a", "/", "/a?b"] {
        refused_match(
            matching(PathSpecifier::PathSeparatedPrefix(prefix.to_owned())),
            "path_separated_prefix",
            "must begin with",
        );
    }
}

#[test]
fn a_route_tells_where_it_comes_from() {
    let with = |text: &str| {
        let value = Value {
            kind: Some(Kind::StringValue(text.to_owned())),
        };
        let fields = Struct {
            fields: [("origin".to_owned(), value)].into(),
        };
        let mut wire = to("c");
        wire.metadata = Some(Metadata {
            filter_metadata: [("dev.heddle.route".to_owned(), fields)].into(),
            ..Metadata::default()
        });
        let table = one_route(wire).expect("valid");
        table.virtual_hosts[0].routes[0].origin.clone()
    };
    let origin = with("HTTPRoute/shop/cart/3").expect("an origin");
    assert_eq!(
        (
            &*origin.kind,
            &*origin.namespace,
            &*origin.name,
            origin.rule
        ),
        ("HTTPRoute", "shop", "cart", 3)
    );
    assert_eq!(with("something else"), None);
}

#[test]
fn hosts_are_read_and_two_owners_of_one_are_refused() {
    let host = |name: &str, domains: &[&str]| VirtualHost {
        name: name.to_owned(),
        domains: domains.iter().map(ToString::to_string).collect(),
        ..VirtualHost::default()
    };
    let config = |virtual_hosts| RouteConfiguration {
        name: "r".to_owned(),
        virtual_hosts,
        ..RouteConfiguration::default()
    };
    let table = decode(&config(vec![host(
        "h",
        &["*", "A.com", "a.com:80", "*.b.com", "c.*"],
    )]))
    .expect("valid");
    assert_eq!(
        table.virtual_hosts[0].domains,
        [
            Domain::Any,
            Domain::Exact("a.com".into()),
            Domain::Exact("a.com".into()),
            Domain::Suffix(".b.com".into()),
            Domain::Prefix("c.".into()),
        ]
    );
    refused(
        decode(&config(vec![host("1", &["a.com"]), host("2", &["A.COM"])])),
        "virtual_hosts",
        "two virtual hosts",
    );
    for bad in ["", "a.*.com", "*.a.*", "**"] {
        refused(
            decode(&config(vec![host("h", &[bad])])),
            "virtual_hosts[0].domains[0]",
            "",
        );
    }
    refused(
        decode(&config(vec![host("h", &[])])),
        "virtual_hosts[0].domains",
        "empty",
    );
}

#[test]
fn header_changes_apply_from_the_route_outwards() {
    let set = |value: &str| {
        vec![header(
            "x-a",
            value,
            HeaderAppendAction::OverwriteIfExistsOrAdd,
        )]
    };
    let mut wire = routes("r", vec![to("c")]);
    wire.request_headers_to_add = set("table");
    wire.virtual_hosts[0].request_headers_to_add = set("host");
    wire.virtual_hosts[0].routes[0].request_headers_to_add = set("route");
    wire.virtual_hosts[0].routes[0].request_headers_to_remove = vec!["X-B".to_owned()];
    let values = |wire: &RouteConfiguration| -> Vec<HeaderOp> {
        let table = decode(wire).expect("valid");
        table.virtual_hosts[0].routes[0].request_headers.0.clone()
    };
    let name = HeaderName::from_static;
    let op = |value| HeaderOp::Set(name("x-a"), HeaderValue::from_static(value));
    let removal = || HeaderOp::Remove(name("x-b"));
    assert_eq!(
        values(&wire),
        [removal(), op("route"), op("host"), op("table")]
    );
    wire.most_specific_header_mutations_wins = true;
    assert_eq!(
        values(&wire),
        [op("table"), op("host"), removal(), op("route")]
    );
}

#[test]
fn a_percent_sign_in_a_header_is_written_twice_and_commands_are_refused() {
    let with = |value: &str| {
        let mut wire = to("c");
        wire.response_headers_to_add = vec![header(
            "x-a",
            value,
            HeaderAppendAction::AppendIfExistsOrAdd,
        )];
        one_route(wire)
    };
    let table = with("100%% of %%REQ(x)%%").expect("valid");
    assert_eq!(
        table.virtual_hosts[0].routes[0].response_headers.0,
        [HeaderOp::Append(
            HeaderName::from_static("x-a"),
            HeaderValue::from_static("100% of %REQ(x)%")
        )]
    );
    for value in ["%REQ(x)%", "%", "%%%"] {
        refused(
            with(value),
            "virtual_hosts[0].routes[0].response_headers_to_add[0].header.value",
            "format commands",
        );
    }
}

#[test]
fn headers_that_frame_a_message_must_not_be_changed() {
    for name in ["host", "Host", ":path", ":authority", "no header"] {
        let mut wire = to("c");
        wire.request_headers_to_remove = vec![name.to_owned()];
        refused(
            one_route(wire),
            "virtual_hosts[0].routes[0].request_headers_to_remove[0]",
            name,
        );
    }
    let mut wire = to("c");
    wire.request_headers_to_add = vec![header(
        "x-a",
        "a\r\nb: c",
        HeaderAppendAction::AppendIfExistsOrAdd,
    )];
    refused(
        one_route(wire),
        "virtual_hosts[0].routes[0].request_headers_to_add[0].header.value",
        "bytes",
    );
}

#[test]
fn an_empty_value_is_only_set_if_it_is_meant() {
    let with = |keep| {
        let mut option = header("x-a", "", HeaderAppendAction::OverwriteIfExistsOrAdd);
        option.keep_empty_value = keep;
        let mut wire = to("c");
        wire.request_headers_to_add = vec![option];
        let table = one_route(wire).expect("valid");
        table.virtual_hosts[0].routes[0].request_headers.0.len()
    };
    assert_eq!(with(false), 0);
    assert_eq!(with(true), 1);
}

fn rewrite(pattern: &str, substitution: &str) -> RouteAction {
    RouteAction {
        regex_rewrite: Some(RegexMatchAndSubstitute {
            pattern: Some(regex(pattern)),
            substitution: substitution.to_owned(),
        }),
        ..weighted(&[("c", 1)])
    }
}

#[test]
fn rewrites_are_read_in_envoys_writing() {
    for (pattern, substitution, path, expected) in [
        ("^/.*$", "/full", "/a/b", "/full"),
        ("^/foo/?", "/", "/foo/bar", "/bar"),
        ("^/(a)/(b)$", r"/\2/\1", "/a/b", "/b/a"),
        ("^/a$", r"/\\$1", "/a", r"/\$1"),
        ("^/a$", r"/x\0", "/a", "/x/a"),
    ] {
        let forward = forward(rewrite(pattern, substitution));
        let new = forward
            .path_rewrite
            .expect("a rewrite")
            .apply(&PathMatcher::Prefix("/".into()), path);
        assert_eq!(new, expected, "{pattern} {substitution}");
    }
    refused_action(
        WireAction::Route(rewrite("a", r"\1")),
        "route.regex_rewrite.substitution",
        "no group 1",
    );
    refused_action(
        WireAction::Route(rewrite("a", r"\x")),
        "route.regex_rewrite.substitution",
        "backslash",
    );
    let both = RouteAction {
        prefix_rewrite: "/x".to_owned(),
        ..rewrite("a", "b")
    };
    refused_action(
        WireAction::Route(both),
        "route.regex_rewrite",
        "contradicts",
    );
}

#[test]
fn a_host_rewrite_must_be_a_host() {
    let with = |host: &str| RouteAction {
        host_rewrite_specifier: Some(HostRewriteSpecifier::HostRewriteLiteral(host.to_owned())),
        ..weighted(&[("c", 1)])
    };
    assert_eq!(
        forward(with("a.example:80")).host_rewrite.as_deref(),
        Some("a.example:80")
    );
    for host in ["a b", "user@a", ""] {
        refused_action(
            WireAction::Route(with(host)),
            "route.host_rewrite_literal",
            "no host",
        );
    }
}

fn retry(policy: WireRetry) -> RouteAction {
    RouteAction {
        retry_policy: Some(policy),
        ..weighted(&[("c", 1)])
    }
}

#[test]
fn retries_are_read() {
    use heddle_proto::envoy::config::route::v3::retry_policy::RetryBackOff;
    let found = forward(retry(WireRetry {
        retry_on: "retriable-status-codes, connect-failure".to_owned(),
        num_retries: number(3),
        retriable_status_codes: vec![503, 500],
        per_try_timeout: seconds(2),
        retry_back_off: Some(RetryBackOff {
            base_interval: seconds(1),
            max_interval: None,
        }),
        ..WireRetry::default()
    }));
    assert_eq!(
        found.retry,
        Some(RetryPolicy {
            retries: 3,
            on_connection_failure: true,
            on_status: vec![500, 503],
            per_try_timeout: Some(Duration::from_secs(2)),
            base_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
        })
    );
}

#[test]
fn a_virtual_hosts_retries_hold_for_routes_without_their_own() {
    let mut wire = routes("r", vec![to("c"), to("c")]);
    let policy = |retry_on: &str| {
        Some(WireRetry {
            retry_on: retry_on.to_owned(),
            ..WireRetry::default()
        })
    };
    wire.virtual_hosts[0].retry_policy = policy("gateway-error");
    if let Some(WireAction::Route(action)) = &mut wire.virtual_hosts[0].routes[1].action {
        action.retry_policy = policy("reset");
    }
    let table = decode(&wire).expect("valid");
    let statuses = |index: usize| match &table.virtual_hosts[0].routes[index].action {
        Action::Forward(forward) => forward.retry.clone().expect("a policy").on_status,
        other => panic!("{other:?}"),
    };
    assert_eq!(statuses(0), [502, 503, 504]);
    assert!(statuses(1).is_empty());
}

#[test]
fn retries_that_are_not_understood_are_refused() {
    refused_action(
        WireAction::Route(retry(WireRetry {
            retry_on: "5xx,unavailable".to_owned(),
            ..WireRetry::default()
        })),
        "route.retry_policy.retry_on",
        "unavailable",
    );
    refused_action(
        WireAction::Route(retry(WireRetry {
            retry_on: "retriable-status-codes".to_owned(),
            retriable_status_codes: vec![9999],
            ..WireRetry::default()
        })),
        "route.retry_policy.retriable_status_codes[0]",
        "9999",
    );
}

#[test]
fn redirects_are_read() {
    let found = redirect(RedirectAction {
        scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
        host_redirect: "example.org".to_owned(),
        port_redirect: 8443,
        path_rewrite_specifier: Some(PathRewriteSpecifier::PrefixRewrite("/x".to_owned())),
        response_code: RedirectResponseCode::PermanentRedirect.into(),
        strip_query: true,
    });
    assert_eq!(found.scheme.as_deref(), Some("https"));
    assert_eq!(found.host.as_deref(), Some("example.org"));
    assert_eq!(
        (found.port, found.status, found.strip_query),
        (Some(8443), 308, true)
    );
    assert!(matches!(found.path, Some(RedirectPath::Prefix(prefix)) if &*prefix == "/x"));
    let plain = redirect(RedirectAction::default());
    assert_eq!((plain.port, plain.status), (None, 301));
    assert!(plain.scheme.is_none() && plain.host.is_none() && plain.path.is_none());
}

#[test]
fn redirects_that_are_not_understood_are_refused() {
    refused_action(
        WireAction::Redirect(RedirectAction {
            scheme_rewrite_specifier: Some(SchemeRewriteSpecifier::SchemeRedirect(
                "javascript".to_owned(),
            )),
            ..RedirectAction::default()
        }),
        "redirect.scheme_redirect",
        "neither http nor https",
    );
    refused_action(
        WireAction::Redirect(RedirectAction {
            port_redirect: 70_000,
            ..RedirectAction::default()
        }),
        "redirect.port_redirect",
        "70000",
    );
    refused_action(
        WireAction::Redirect(RedirectAction {
            response_code: 77,
            ..RedirectAction::default()
        }),
        "redirect.response_code",
        "77",
    );
}

#[test]
fn direct_responses_are_read() {
    let wire = DirectResponseAction {
        status: 500,
        body: Some(DataSource {
            specifier: Some(Specifier::InlineBytes(b"no".to_vec())),
            ..DataSource::default()
        }),
        ..DirectResponseAction::default()
    };
    let Action::Respond(answer) = action(WireAction::DirectResponse(wire)) else {
        panic!("no answer");
    };
    assert_eq!((answer.status, &*answer.body), (500, "no"));
    refused_action(
        WireAction::DirectResponse(DirectResponseAction {
            status: 600,
            ..DirectResponseAction::default()
        }),
        "direct_response.status",
        "200 to 599",
    );
}

#[test]
fn actions_that_are_not_understood_are_refused() {
    let with = |change: fn(&mut RouteAction)| {
        let mut wire = weighted(&[("c", 1)]);
        change(&mut wire);
        WireAction::Route(wire)
    };
    refused_action(
        with(|a| a.cluster_specifier = None),
        "route.cluster_specifier",
        "missing",
    );
    refused_action(
        with(|a| a.cluster_specifier = Some(ClusterSpecifier::ClusterHeader("x".to_owned()))),
        "route.cluster_header",
        "not understood",
    );
    refused_action(
        with(|a| a.request_mirror_policies.push(Default::default())),
        "route.request_mirror_policies",
        "not understood",
    );
    refused_action(
        with(|a| a.timeout = seconds(-1)),
        "route.timeout",
        "negative",
    );
    refused_action(
        with(|a| a.cors = Some(CorsPolicy::default())),
        "route.cors",
        "not understood",
    );
    refused_action(
        WireAction::NonForwardingAction(NonForwardingAction::default()),
        "non_forwarding_action",
        "not understood",
    );
}

#[test]
fn ten_thousand_routes_are_read() {
    let many = (0..10_000).map(|n| {
        let path = PathSpecifier::PathSeparatedPrefix(format!("/{n}"));
        route(matching(path), WireAction::Route(weighted(&[("c", 1)])))
    });
    let table = decode(&routes("r", many.collect())).expect("valid");
    assert_eq!(table.virtual_hosts[0].routes.len(), 10_000);
}
