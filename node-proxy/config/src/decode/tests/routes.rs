use heddle_proto::{
    envoy::config::{
        core::v3::{Metadata, header_value_option::HeaderAppendAction},
        route::v3::{
            QueryParameterMatcher, Route as WireRoute, RouteConfiguration, RouteMatch, VirtualHost,
            query_parameter_matcher::QueryParameterMatchSpecifier, route::Action as WireAction,
            route_match::PathSpecifier,
        },
    },
    google::protobuf::{Struct, Value, value::Kind},
    pack,
};
use heddle_routing::{Domain, HeaderOp, PathMatcher, RouteTable};
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
fn refused_match(wire: RouteMatch, field: &str, words: &str) {
    let result = one_route(route(wire, WireAction::Route(weighted(&[("c", 1)]))));
    refused(
        result,
        &format!("virtual_hosts[0].routes[0].match.{field}"),
        words,
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

#[test]
fn ten_thousand_routes_are_read() {
    let many = (0..10_000).map(|n| {
        let path = PathSpecifier::PathSeparatedPrefix(format!("/{n}"));
        route(matching(path), WireAction::Route(weighted(&[("c", 1)])))
    });
    let table = decode(&routes("r", many.collect())).expect("valid");
    assert_eq!(table.virtual_hosts[0].routes.len(), 10_000);
}
