use std::time::Duration;

use heddle_proto::{
    envoy::{
        config::{
            core::v3::{DataSource, data_source::Specifier},
            route::v3::{
                CorsPolicy, DirectResponseAction, NonForwardingAction, RedirectAction,
                RetryPolicy as WireRetry, Route as WireRoute, RouteAction, RouteConfiguration,
                redirect_action::{
                    PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier,
                },
                route::Action as WireAction,
                route_action::{ClusterSpecifier, HostRewriteSpecifier},
            },
        },
        r#type::matcher::v3::RegexMatchAndSubstitute,
    },
    pack,
};
use heddle_routing::{
    Action, Forward, PathMatcher, Redirect, RedirectPath, RetryOn, RetryPolicy, RouteTable,
};

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
        Action::Forward(forward) => Forward::clone(&forward),
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
            on: RetryOn {
                connect_failure: true,
                statuses: vec![500, 503],
                ..RetryOn::default()
            },
            per_try_timeout: Some(Duration::from_secs(2)),
            base_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(10),
        })
    );
}

#[test]
fn each_word_of_retry_on_means_what_envoy_says() {
    let on = |retry_on: &str| {
        let policy = WireRetry {
            retry_on: retry_on.to_owned(),
            ..WireRetry::default()
        };
        forward(retry(policy)).retry.expect("a policy").on
    };
    let none = RetryOn::default;
    let statuses = |reset, statuses: Vec<u16>| RetryOn {
        reset,
        statuses,
        ..none()
    };
    assert_eq!(on(""), none());
    assert_eq!(on("5xx"), statuses(true, (500..=599).collect()));
    assert_eq!(on("gateway-error"), statuses(true, vec![502, 503, 504]));
    assert_eq!(on("retriable-4xx"), statuses(false, vec![409]));
    assert_eq!(on("reset"), statuses(true, Vec::new()));
    let connect_failure = RetryOn {
        connect_failure: true,
        ..none()
    };
    assert_eq!(
        on("connect-failure,http3-post-connect-failure"),
        connect_failure
    );
    let refused_stream = RetryOn {
        refused_stream: true,
        ..none()
    };
    assert_eq!(on("refused-stream"), refused_stream);
    let before = RetryOn {
        reset_before_request: true,
        ..none()
    };
    assert_eq!(on("reset-before-request"), before);
    let grpc = RetryOn {
        grpc_codes: vec![1, 4, 8, 13, 14],
        ..none()
    };
    let words = "unavailable,cancelled,deadline-exceeded,internal,resource-exhausted";
    assert_eq!(on(words), grpc);
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
        Action::Forward(forward) => forward.retry.clone().expect("a policy").on.statuses,
        other => panic!("{other:?}"),
    };
    assert_eq!(statuses(0), [502, 503, 504]);
    assert!(statuses(1).is_empty());
}

#[test]
fn retries_that_are_not_understood_are_refused() {
    refused_action(
        WireAction::Route(retry(WireRetry {
            retry_on: "5xx,envoy-ratelimited".to_owned(),
            ..WireRetry::default()
        })),
        "route.retry_policy.retry_on",
        "envoy-ratelimited",
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
