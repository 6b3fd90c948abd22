use serde_json::{Value, json};

use crate::{Header, Kind, Object, Violation};

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn parse(text: &str) -> Result<Object, Vec<String>> {
    let document = yaml(text);
    let Ok(Header::Ours(id)) = Header::read(&document) else {
        panic!("not one of ours: {text}");
    };
    let shown = |violations: Vec<Violation>| violations.iter().map(Violation::to_string).collect();
    Object::parse(id.kind, document).map_err(shown)
}

fn http_route(spec: &str) -> Result<Object, Vec<String>> {
    parse(&format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: r}}, spec: {spec}}}"
    ))
}

fn rule(rule: &str) -> Result<Object, Vec<String>> {
    http_route(&format!("{{rules: [{rule}]}}"))
}

fn gateway(listeners: &str) -> Result<Object, Vec<String>> {
    parse(&format!(
        "{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: g}}, \
         spec: {{gatewayClassName: heddle, listeners: [{listeners}]}}}}"
    ))
}

/// The one thing that is wrong.
fn refusal(result: Result<Object, Vec<String>>) -> String {
    match result {
        Ok(_) => "accepted".to_owned(),
        Err(violations) => violations.join(" | "),
    }
}

#[test]
fn every_kind_has_a_schema_that_accepts_its_emptiest_object_and_no_unknown_field() {
    for kind in Kind::ALL {
        let spec: Value = match kind {
            Kind::Gateway => {
                json!({"gatewayClassName": "c", "listeners": [{"name": "l", "port": 80, "protocol": "HTTP"}]})
            }
            Kind::GatewayClass => json!({"controllerName": "example.com/c"}),
            Kind::ReferenceGrant => json!({
                "from": [{"group": "", "kind": "Service", "namespace": "a"}], "to": [{"group": "", "kind": "Service"}]
            }),
            Kind::HTTPRoute | Kind::GRPCRoute | Kind::AuthorizationPolicy => json!({}),
            _ => Value::Null,
        };
        let mut document = json!({
            "apiVersion": kind.api_version(), "kind": kind.as_str(), "metadata": {"name": "x"}, "spec": spec.clone()
        });
        if !matches!(
            *kind,
            Kind::Namespace | Kind::Node | Kind::Pod | Kind::Service | Kind::NetworkPolicy
        ) && spec.is_null()
        {
            document.as_object_mut().unwrap().shift_remove("spec");
        }
        if *kind == Kind::EndpointSlice {
            document["addressType"] = "IPv4".into();
            document["endpoints"] = json!([]);
        }
        let read = Object::parse(*kind, document.clone());
        assert!(read.is_ok(), "{kind:?}: {read:?}");
        for place in ["", "/metadata"] {
            let mut document = document.clone();
            document.pointer_mut(place).unwrap()["surprise"] = json!(1);
            let violations = Object::parse(*kind, document).unwrap_err();
            let refused: Vec<_> = violations.iter().map(ToString::to_string).collect();
            assert!(
                refused[0].contains(r#"unknown field "surprise""#),
                "{kind:?}: {refused:?}"
            );
        }
    }
}

#[test]
fn every_pattern_of_the_published_schemas_compiles() {
    fn look(value: &Value, seen: &mut usize) {
        for (key, inner) in value.as_object().into_iter().flatten() {
            if let (true, Some(pattern)) = (key == "pattern", inner.as_str()) {
                *seen += 1;
                assert!(regex::Regex::new(pattern).is_ok(), "{pattern}");
            }
            look(inner, seen);
        }
    }
    let mut seen = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/schemas")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        look(&serde_json::from_str(&text).unwrap(), &mut seen);
    }
    assert!(seen > 50, "only {seen} patterns");
}

#[test]
fn defaults_of_the_schema_are_filled_in() {
    let route =
        http_route("{parentRefs: [{name: g}], rules: [{backendRefs: [{name: s, port: 80}]}]}");
    let Ok(Object::HTTPRoute(route)) = route else {
        panic!("{route:?}");
    };
    let parent = &route.spec.parent_refs.as_ref().unwrap()[0];
    assert_eq!(parent.group.as_deref(), Some("gateway.networking.k8s.io"));
    assert_eq!(parent.kind.as_deref(), Some("Gateway"));
    let rule = &route.spec.rules.as_ref().unwrap()[0];
    assert_eq!(rule.backend_refs.as_ref().unwrap()[0].weight, Some(1));
    let path = rule.matches.as_ref().unwrap()[0].path.as_ref().unwrap();
    assert_eq!(path.value.as_deref(), Some("/"));
}

#[test]
fn null_means_absent() {
    assert!(
        rule("{matches: null, name: null, backendRefs: [{name: s, port: 80, weight: null}]}")
            .is_ok()
    );
    assert!(parse("{apiVersion: v1, kind: Service, metadata: {name: s, labels: null}, spec: {ports: null}}").is_ok());
}

#[test]
fn the_beta_of_the_gateway_api_is_read_as_its_first_version() {
    let grant = "{apiVersion: gateway.networking.k8s.io/v1beta1, kind: ReferenceGrant, metadata: {name: g}, \
                  spec: {from: [{group: '', kind: Service, namespace: a}], to: [{group: '', kind: Service}]}}";
    assert!(matches!(parse(grant), Ok(Object::ReferenceGrant(_))));
    assert_eq!(
        Kind::of("gateway.networking.k8s.io/v1beta1", "GRPCRoute"),
        None
    );
}

#[test]
fn what_breaks_the_schema_is_refused_with_its_field() {
    let service = |spec: &str| {
        parse(&format!(
            "{{apiVersion: v1, kind: Service, metadata: {{name: s}}, spec: {spec}}}"
        ))
    };
    let table = [
        (
            rule("{matches: [{pth: {}}]}"),
            r#"spec.rules[0].matches[0]: unknown field "pth" (did you mean "path"?)"#,
        ),
        (
            rule("{surprise: 1}"),
            r#"spec.rules[0]: unknown field "surprise""#,
        ),
        (
            rule("{backendRefs: [{port: 80}]}"),
            r#"spec.rules[0].backendRefs[0]: required field "name" is missing"#,
        ),
        (
            rule("{backendRefs: [{name: s, port: 80, weight: -1}]}"),
            "spec.rules[0].backendRefs[0].weight: must be a whole number from 0 to 1000000, not -1",
        ),
        (
            rule("{backendRefs: [{name: s, port: 80, weight: '1'}]}"),
            r#"spec.rules[0].backendRefs[0].weight: must be a whole number, not the string "1""#,
        ),
        (
            rule("{backendRefs: [{name: s, port: 65536}]}"),
            "spec.rules[0].backendRefs[0].port: must be a whole number from 1 to 65535, not 65536",
        ),
        (
            rule("{matches: [{method: get}]}"),
            "spec.rules[0].matches[0].method: must be one of GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH, not \"get\"",
        ),
        (
            http_route("{rules: {}}"),
            "spec.rules: must be a list, not an object",
        ),
        (
            http_route("{rules: [null]}"),
            "spec.rules[0]: must be an object, not null",
        ),
        (
            http_route("{hostnames: [true]}"),
            "spec.hostnames[0]: must be a string, not true (put it in quotes)",
        ),
        (
            service("{ports: [{port: http}]}"),
            r#"spec.ports[0].port: must be a whole number, not the string "http""#,
        ),
        (
            service("{selector: {version: 1}}"),
            "spec.selector.version: must be a string, not the number 1 (put it in quotes)",
        ),
        (
            parse(
                "{apiVersion: v1, kind: Pod, metadata: {name: p, labels: {app.kubernetes.io/name: 1}}}",
            ),
            "metadata.labels[app.kubernetes.io/name]: must be a string, not the number 1 (put it in quotes)",
        ),
        (
            service("{ports: [{port: 99999999999}]}"),
            "spec.ports[0].port: must be a whole number from -2147483648 to 2147483647, not 99999999999",
        ),
        (
            service("{ports: [{port: 80.5}]}"),
            "spec.ports[0].port: must be a whole number from -2147483648 to 2147483647, not 80.5",
        ),
        (
            parse(
                "{apiVersion: heddle.dev/v1alpha1, kind: AuthorizationPolicy, metadata: {name: a}, spec: {action: Deny}}",
            ),
            r#"spec.action: must be one of Allow, not "Deny""#,
        ),
        (
            parse(
                "{apiVersion: heddle.dev/v1alpha1, kind: AuthorizationPolicy, metadata: {name: a}, spec: {rules: [{port: [1]}]}}",
            ),
            r#"spec.rules[0]: unknown field "port" (did you mean "ports"?)"#,
        ),
    ];
    for (result, expected) in table {
        assert_eq!(refusal(result), expected);
    }
}

#[test]
fn ten_thousand_rules_are_refused_without_looking_into_them() {
    let rules = vec![json!({"nonsense": true}); 10_000];
    let document = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r"}, "spec": {"rules": rules}
    });
    let violations = Object::parse(Kind::HTTPRoute, document).unwrap_err();
    assert_eq!(
        violations,
        [Violation::new(
            "spec.rules",
            "has 10000 items, at most 16 are allowed"
        )]
    );
}

#[test]
fn one_document_gets_no_endless_list_of_violations() {
    let fields: Value = (0..1000)
        .map(|i| (format!("field-number-{i}"), json!(1)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let document =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": fields});
    assert_eq!(
        Object::parse(Kind::Service, document).unwrap_err().len(),
        Violation::MOST
    );
}

#[test]
fn rules_between_the_fields_of_a_route_hold() {
    let forward = "backendRefs: [{name: s, port: 80}]";
    let table = [
        (
            rule("{backendRefs: [{name: s}]}"),
            "a reference to a Service needs a port",
        ),
        (
            rule("{matches: [{path: {value: foo}}]}"),
            "must begin with /",
        ),
        (
            rule("{matches: [{path: {value: '/a//b'}}]}"),
            "must not contain //",
        ),
        (
            rule("{matches: [{path: {type: Exact, value: '/a/..'}}]}"),
            "must not end with /..",
        ),
        (
            rule("{matches: [{path: {value: '/a b'}}]}"),
            "has a character that is not allowed in a path",
        ),
        (
            rule("{filters: [{type: URLRewrite}]}"),
            "type URLRewrite needs the field urlRewrite",
        ),
        (
            rule("{filters: [{type: CORS, cors: {}, urlRewrite: {}}]}"),
            "the field urlRewrite is only for type URLRewrite",
        ),
        (
            rule(&format!(
                "{{{forward}, filters: [{{type: RequestRedirect, requestRedirect: {{}}}}]}}"
            )),
            "RequestRedirect must not be used together with backendRefs",
        ),
        (
            rule(
                "{matches: [{path: {type: Exact, value: /a}}], filters: [{type: URLRewrite, urlRewrite: \
                  {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}",
            ),
            "ReplacePrefixMatch needs exactly one match, of type PathPrefix",
        ),
        (
            rule("{timeouts: {request: 1s500ms, backendRequest: 2s}}"),
            "backendRequest must not be longer than request",
        ),
        (
            http_route("{rules: [{name: a}, {name: a}]}"),
            "another rule has the same name",
        ),
        (
            http_route("{parentRefs: [{name: g}, {name: g}]}"),
            "refers to the same parent as another one: give each its own sectionName or port",
        ),
    ];
    for (result, expected) in table {
        let refusal = refusal(result);
        assert!(
            refusal.ends_with(expected),
            "{refusal:?} instead of {expected:?}"
        );
    }
    let accepted = [
        rule("{matches: [{path: {type: RegularExpression, value: 'a//b'}}]}"),
        rule("{timeouts: {request: 0s, backendRequest: 2s}}"),
        rule(
            "{filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}]}",
        ),
        http_route(
            "{parentRefs: [{name: g, sectionName: a}, {name: g, sectionName: b}, {name: h}]}",
        ),
    ];
    for result in accepted {
        assert_eq!(refusal(result), "accepted");
    }
}

#[test]
fn rules_between_the_fields_of_a_gateway_hold() {
    let table = [
        (
            gateway("{name: a, port: 80, protocol: HTTP}, {name: a, port: 81, protocol: HTTP}"),
            "duplicate of another item (name: \"a\")",
        ),
        (
            gateway("{name: a, port: 80, protocol: HTTP}, {name: b, port: 80, protocol: HTTP}"),
            "another listener has the same port, protocol and hostname",
        ),
        (
            gateway("{name: a, port: 80, protocol: HTTP, tls: {certificateRefs: [{name: c}]}}"),
            "must not be given for HTTP",
        ),
        (
            gateway("{name: a, port: 443, protocol: TLS}"),
            "must be given for TLS",
        ),
        (
            gateway("{name: a, port: 443, protocol: HTTPS, tls: {}}"),
            "certificateRefs must be given where TLS is terminated",
        ),
    ];
    for (result, expected) in table {
        let refusal = refusal(result);
        assert!(
            refusal.ends_with(expected),
            "{refusal:?} instead of {expected:?}"
        );
    }
}

#[test]
fn a_header_says_what_a_document_is_before_it_is_checked() {
    let read = |text: &str| match Header::read(&yaml(text)) {
        Ok(Header::Ours(id)) => id.to_string(),
        Ok(Header::Foreign { api_version, kind }) => format!("foreign {api_version} {kind}"),
        Ok(Header::List) => "list".to_owned(),
        Err(violation) => violation.to_string(),
    };
    let table = [
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: p}}",
            "Pod default/p",
        ),
        (
            "{apiVersion: v1, kind: Node, metadata: {name: node-a, namespace: x}}",
            "Node node-a",
        ),
        (
            "{apiVersion: apps/v1, kind: Deployment}",
            "foreign apps/v1 Deployment",
        ),
        ("{apiVersion: v1, kind: List, items: []}", "list"),
        ("{apiVersion: v1, kind: PodList, items: []}", "list"),
        (
            "[1]",
            "must be an object with apiVersion, kind and metadata",
        ),
        ("{kind: Pod}", "required field \"apiVersion\" is missing"),
        ("{apiVersion: v1, kind: 7}", "kind: must be a string"),
        ("{apiVersion: v1, kind: Pod}", "metadata.name: is missing"),
        (
            "{apiVersion: v1, kind: Pod, metadata: {name: 7}}",
            "metadata.name: must be a string (put it in quotes)",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(read(text), expected, "{text}");
    }
    for name in ["A", "a_b", "-a", "a-", "a..b", "", "a/b"] {
        let document = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}});
        assert!(Header::read(&document).is_err(), "{name}");
    }
    let dotted =
        |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a.b"}});
    assert!(Header::read(&dotted("Pod")).is_ok());
    assert!(Header::read(&dotted("Service")).is_err());
}
