//! The generated configuration: one listener with many virtual hosts, each with a few routes of any kind that both proxies know.

use std::net::SocketAddr;

use heddle_interop_xds::fixed::messages;
use heddle_proto::{
    envoy::{
        config::{
            cluster::v3::Cluster,
            core::v3::{
                DataSource, HeaderValue, HeaderValueOption, Http1ProtocolOptions,
                Http2ProtocolOptions, data_source, header_value_option::HeaderAppendAction,
            },
            listener::v3::Listener,
            route::v3::{
                DirectResponseAction, HeaderMatcher, QueryParameterMatcher, RedirectAction,
                RetryPolicy, Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost,
                WeightedCluster,
                header_matcher::HeaderMatchSpecifier,
                query_parameter_matcher::QueryParameterMatchSpecifier,
                redirect_action::{PathRewriteSpecifier, SchemeRewriteSpecifier},
                route::Action,
                route_action::{ClusterSpecifier, HostRewriteSpecifier},
                route_match::PathSpecifier,
                weighted_cluster::ClusterWeight,
            },
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager,
            http_connection_manager::{RouteSpecifier, UpgradeConfig},
        },
        r#type::matcher::v3::{
            RegexMatchAndSubstitute, RegexMatcher, StringMatcher, string_matcher::MatchPattern,
        },
    },
    google::protobuf::{BoolValue, Duration, UInt32Value},
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

/// How many listeners there are, each with a table of its own.
pub(crate) const TABLES: usize = 12;
/// How many virtual hosts a table has.
pub(crate) const HOSTS: usize = 10;
const PREFIXES: [&str; 8] = [
    "/",
    "/a",
    "/a/b",
    "/a/",
    "/caf%C3%A9",
    "/x.y",
    "/A",
    "/a%2Fb",
];
/// Limits of requests. Whoever is in time takes far less than the shortest of all limits, and whoever is late never answers.
const SHORT: Duration = Duration {
    seconds: 1,
    nanos: 0,
};
const LONG: Duration = Duration {
    seconds: 4,
    nanos: 0,
};
/// Limit of a try; four of them with their pauses fit into LONG by far.
const TRY: Duration = Duration {
    seconds: 0,
    nanos: 600_000_000,
};

/// Envoy drops an HTTP/1 message's trailers unless it is told to pass them on.
fn with_trailers() -> Http1ProtocolOptions {
    Http1ProtocolOptions {
        enable_trailers: true,
        ..Http1ProtocolOptions::default()
    }
}

/// A cluster with one endpoint, or none, on loopback.
#[allow(
    deprecated,
    reason = "these options say in one field what an extension says in three messages"
)]
pub(crate) fn cluster(name: &str, port: Option<u16>, http2: bool) -> Cluster {
    Cluster {
        http2_protocol_options: http2.then(Http2ProtocolOptions::default),
        http_protocol_options: (!http2).then(with_trailers),
        ..messages::cluster(name, port)
    }
}

/// A listener with its routes in it.
pub(crate) fn listener(index: usize, at: SocketAddr, routes: &RouteConfiguration) -> Listener {
    let manager = HttpConnectionManager {
        stat_prefix: "differential".to_owned(),
        route_specifier: Some(RouteSpecifier::RouteConfig(routes.clone())),
        upgrade_configs: vec![UpgradeConfig {
            upgrade_type: "websocket".to_owned(),
            ..UpgradeConfig::default()
        }],
        http_protocol_options: Some(Http1ProtocolOptions {
            accept_http_10: true,
            ..with_trailers()
        }),
        ..HttpConnectionManager::default()
    };
    messages::listener(&format!("listener-{index}"), at, manager)
}

/// The next route table.
pub(crate) fn table(index: usize, random: &mut StdRng) -> RouteConfiguration {
    let mut table = RouteConfiguration {
        name: format!("table-{index}"),
        virtual_hosts: (0..HOSTS).map(|index| host(index, random)).collect(),
        request_headers_to_add: added(random, "x-added"),
        response_headers_to_add: added(random, "x-answer"),
        most_specific_header_mutations_wins: random.random_bool(0.3),
        // A cluster may be missing.
        validate_clusters: Some(BoolValue { value: false }),
        // The node proxy does so always.
        ignore_port_in_host_matching: true,
        ..RouteConfiguration::default()
    };
    if index.is_multiple_of(2) {
        let mut any = host(HOSTS, random);
        any.domains = vec!["*".to_owned()];
        table.virtual_hosts.push(any);
    }
    table
}

/// The virtual host of a table that a generated host name is of, for a report.
pub(crate) fn host_of<'a>(table: &'a RouteConfiguration, host: &str) -> Option<&'a VirtualHost> {
    let digits: String = host.chars().filter(char::is_ascii_digit).take(1).collect();
    let named = |name: &str| table.virtual_hosts.iter().find(|h| h.name == name);
    named(&format!("host-{digits}")).or_else(|| named(&format!("host-{HOSTS}")))
}

fn host(index: usize, random: &mut StdRng) -> VirtualHost {
    let domain = match index % 3 {
        0 => format!("h{index}.test"),
        1 => format!("*.w{index}.test"),
        _ => format!("p{index}.*"),
    };
    let count = random.random_range(2..=6);
    VirtualHost {
        name: format!("host-{index}"),
        domains: vec![domain],
        routes: (0..count)
            .map(|n| route(&format!("route-{index}-{n}"), n == 3, random))
            .collect(),
        request_headers_to_add: added(random, "x-added"),
        response_headers_to_add: added(random, "x-answer"),
        retry_policy: random.random_bool(0.2).then(|| retry(random)),
        ..VirtualHost::default()
    }
}

fn added(random: &mut StdRng, name: &str) -> Vec<HeaderValueOption> {
    if random.random_bool(0.6) {
        return Vec::new();
    }
    let actions = [
        HeaderAppendAction::AppendIfExistsOrAdd,
        HeaderAppendAction::OverwriteIfExistsOrAdd,
    ];
    let action = *actions.choose(random).unwrap_or(&actions[0]);
    vec![HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: "100%% added".to_owned(),
            ..HeaderValue::default()
        }),
        append_action: action.into(),
        ..HeaderValueOption::default()
    }]
}

fn regex(pattern: &str) -> RegexMatcher {
    RegexMatcher {
        regex: pattern.to_owned(),
        ..RegexMatcher::default()
    }
}

fn text(pattern: MatchPattern) -> StringMatcher {
    StringMatcher {
        match_pattern: Some(pattern),
        ..StringMatcher::default()
    }
}

fn route_match(random: &mut StdRng) -> RouteMatch {
    let prefix = (*PREFIXES.choose(random).unwrap_or(&"/")).to_owned();
    let path = match random.random_range(0..5) {
        0 => PathSpecifier::Path(prefix),
        1 if prefix.len() > 1 => {
            PathSpecifier::PathSeparatedPrefix(prefix.trim_end_matches('/').to_owned())
        }
        2 => PathSpecifier::SafeRegex(regex("/a(/[a-z]+)*")),
        _ => PathSpecifier::Prefix(prefix),
    };
    let mut found = RouteMatch {
        path_specifier: Some(path),
        ..RouteMatch::default()
    };
    if random.random_bool(0.3) {
        found.headers.push(header_match(random));
    }
    if random.random_bool(0.1) {
        found.headers.push(HeaderMatcher {
            name: ":method".to_owned(),
            header_match_specifier: Some(HeaderMatchSpecifier::StringMatch(text(
                MatchPattern::Exact("POST".to_owned()),
            ))),
            invert_match: random.random_bool(0.5),
            ..HeaderMatcher::default()
        });
    }
    if random.random_bool(0.2) {
        let specifier = match random.random_range(0..4) {
            0 => QueryParameterMatchSpecifier::PresentMatch(true),
            1 => QueryParameterMatchSpecifier::StringMatch(text(MatchPattern::SafeRegex(regex(
                "[0-9]+",
            )))),
            _ => {
                QueryParameterMatchSpecifier::StringMatch(text(MatchPattern::Exact("1".to_owned())))
            }
        };
        found.query_parameters.push(QueryParameterMatcher {
            name: "q".to_owned(),
            query_parameter_match_specifier: Some(specifier),
        });
    }
    found
}

fn header_match(random: &mut StdRng) -> HeaderMatcher {
    let owned = |text: &str| text.to_owned();
    let specifier = match random.random_range(0..7) {
        0 => HeaderMatchSpecifier::PresentMatch(random.random_bool(0.5)),
        1 => HeaderMatchSpecifier::StringMatch(text(MatchPattern::Exact(owned("a,b")))),
        2 => HeaderMatchSpecifier::StringMatch(text(MatchPattern::Prefix(owned("a")))),
        3 => HeaderMatchSpecifier::StringMatch(text(MatchPattern::Suffix(owned("b")))),
        4 => HeaderMatchSpecifier::StringMatch(text(MatchPattern::Contains(owned(",")))),
        5 => HeaderMatchSpecifier::StringMatch(StringMatcher {
            ignore_case: true,
            ..text(MatchPattern::Exact(owned("AB")))
        }),
        _ => HeaderMatchSpecifier::StringMatch(text(MatchPattern::SafeRegex(regex("[ab]+")))),
    };
    HeaderMatcher {
        name: "x-match".to_owned(),
        header_match_specifier: Some(specifier),
        invert_match: random.random_bool(0.25),
        ..HeaderMatcher::default()
    }
}

fn route(name: &str, all: bool, random: &mut StdRng) -> Route {
    let action = match random.random_range(0..10) {
        0 | 1 => Action::Redirect(redirect(random)),
        2 => Action::DirectResponse(DirectResponseAction {
            status: *[200, 403, 503].choose(random).unwrap_or(&200),
            body: Some(DataSource {
                specifier: Some(data_source::Specifier::InlineString("direct".to_owned())),
                ..DataSource::default()
            }),
            ..DirectResponseAction::default()
        }),
        _ => Action::Route(forward(random)),
    };
    let removed = |name: &str, random: &mut StdRng| {
        random
            .random_bool(0.2)
            .then(|| name.to_owned())
            .into_iter()
            .collect()
    };
    Route {
        name: name.to_owned(),
        r#match: Some(if all {
            RouteMatch {
                path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
                ..RouteMatch::default()
            }
        } else {
            route_match(random)
        }),
        action: Some(action),
        request_headers_to_add: added(random, "x-added"),
        request_headers_to_remove: removed("x-removed", random),
        response_headers_to_add: added(random, "x-answer"),
        response_headers_to_remove: removed("x-backend-more", random),
        ..Route::default()
    }
}

fn redirect(random: &mut StdRng) -> RedirectAction {
    RedirectAction {
        scheme_rewrite_specifier: match random.random_range(0..5) {
            0 => Some(SchemeRewriteSpecifier::HttpsRedirect(true)),
            1 => Some(SchemeRewriteSpecifier::SchemeRedirect("https".to_owned())),
            2 => Some(SchemeRewriteSpecifier::SchemeRedirect("http".to_owned())),
            _ => None,
        },
        host_redirect: if random.random_bool(0.4) {
            "other.test".to_owned()
        } else {
            String::new()
        },
        port_redirect: *[0, 0, 80, 443, 8443].choose(random).unwrap_or(&0),
        path_rewrite_specifier: match random.random_range(0..3) {
            0 => Some(PathRewriteSpecifier::PathRedirect("/moved".to_owned())),
            1 => Some(PathRewriteSpecifier::PrefixRewrite("/new".to_owned())),
            _ => None,
        },
        response_code: random.random_range(0..5),
        strip_query: random.random_bool(0.3),
    }
}

fn cluster_specifier(random: &mut StdRng) -> ClusterSpecifier {
    let mut pick = || *["one", "two", "http2"].choose(random).unwrap_or(&"one");
    let (cluster, other) = (pick(), pick());
    if random.random_bool(0.75) {
        // A cluster that does not exist, one without endpoints, one whose endpoint refuses connections.
        let name = match random.random_range(0..40) {
            0 => "nobody",
            1 => "empty",
            2 => "refuses",
            _ => cluster,
        };
        return ClusterSpecifier::Cluster(name.to_owned());
    }
    // Of two shares one is everything, so that nothing is left to chance.
    let share = |name: &str, weight: u32, random: &mut StdRng| ClusterWeight {
        name: name.to_owned(),
        weight: Some(UInt32Value { value: weight }),
        request_headers_to_add: added(random, "x-added"),
        response_headers_to_add: added(random, "x-answer"),
        ..ClusterWeight::default()
    };
    ClusterSpecifier::WeightedClusters(WeightedCluster {
        clusters: vec![share(other, 0, random), share(cluster, 100, random)],
        ..WeightedCluster::default()
    })
}

fn forward(random: &mut StdRng) -> RouteAction {
    let limits = random.random_range(0..10);
    let mut action = RouteAction {
        cluster_specifier: Some(cluster_specifier(random)),
        timeout: Some(if limits < 3 { SHORT } else { LONG }),
        ..RouteAction::default()
    };
    let rewrites = ["/re", "/", "/re/", "/a/x"];
    match random.random_range(0..5) {
        0 => action.prefix_rewrite = (*rewrites.choose(random).unwrap_or(&"/re")).to_owned(),
        1 => {
            action.regex_rewrite = Some(RegexMatchAndSubstitute {
                pattern: Some(regex("/a/([a-z]+)")),
                substitution: r"/\1/was".to_owned(),
            });
        }
        _ => {}
    }
    if random.random_bool(0.2) {
        action.host_rewrite_specifier = Some(HostRewriteSpecifier::HostRewriteLiteral(
            "rewritten.test".to_owned(),
        ));
    }
    if limits < 6 {
        action.retry_policy = random.random_bool(0.4).then(|| retry(random));
    } else if limits < 9 {
        action.retry_policy = Some(RetryPolicy {
            per_try_timeout: Some(TRY),
            ..retry(random)
        });
    }
    action
}

fn retry(random: &mut StdRng) -> RetryPolicy {
    let conditions = [
        "5xx",
        "gateway-error",
        "reset",
        "retriable-4xx",
        "connect-failure,retriable-status-codes",
        "connect-failure",
        "refused-stream",
        "reset-before-request",
        "unavailable,internal",
        "cancelled,deadline-exceeded,resource-exhausted",
        // What Heddle's control plane says.
        "connect-failure,reset,retriable-status-codes",
    ];
    RetryPolicy {
        retry_on: (*conditions.choose(random).unwrap_or(&"5xx")).to_owned(),
        num_retries: Some(UInt32Value {
            value: random.random_range(0..4),
        }),
        retriable_status_codes: vec![404, 503],
        ..RetryPolicy::default()
    }
}
