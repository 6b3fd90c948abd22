//! What is wrong is told with file, object and field, and harms nothing else.

use heddle_proto::type_url::CLUSTER_LOAD_ASSIGNMENT;

use super::*;

/// Whether the Service of the base is served as if nothing else were there.
fn rest_works(running: &Running) -> bool {
    running
        .version(CLUSTER_LOAD_ASSIGNMENT, "shop/good:80")
        .is_some()
}

fn route(rules: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: shop}}\nspec:\n  parentRefs: [{{group: '', kind: Service, name: good}}]\n  rules: {rules}\n"
    )
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{ports: [{{port: 80}}]}}\n"
    )
}

fn policy(spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p, namespace: shop}}\nspec: {spec}\n"
    )
}

#[tokio::test]
async fn each_bad_object_is_told_with_file_object_and_field_and_the_rest_works() {
    let good = route("[{backendRefs: [{name: good, port: 80}]}]");
    let ten_thousand = vec!["{backendRefs: [{name: good, port: 80}]}"; 10_000].join(", ");
    let table = [
        (
            "broken YAML",
            format!("{good}---\nkind: [\n"),
            "bad.yaml#2: line 8: broken YAML",
        ),
        (
            "unknown field",
            route("[{surprise: 1}]"),
            r#"bad.yaml#1 HTTPRoute shop/r: spec.rules[0]: unknown field "surprise""#,
        ),
        (
            "wrong type",
            service("s").replace("80", "http"),
            "bad.yaml#1 Service shop/s: spec.ports[0].port: must be a whole number",
        ),
        (
            "a route to a missing Service",
            route("[{backendRefs: [{name: gone, port: 80}]}]"),
            r#"bad.yaml#1 HTTPRoute shop/r: spec.rules[0].backendRefs[0]: there is no Service "shop/gone""#,
        ),
        (
            "weight sum 0",
            route("[{backendRefs: [{name: good, port: 80, weight: 0}]}]"),
            "bad.yaml#1 HTTPRoute shop/r: spec.rules[0].backendRefs: ",
        ),
        (
            "a regex that explodes",
            route(
                "[{matches: [{path: {type: RegularExpression, value: '/(a{1000}){1000}'}}], backendRefs: [{name: good, port: 80}]}]",
            ),
            "bad.yaml#1 HTTPRoute shop/r: spec.rules[0].matches[0].path.value: ",
        ),
        (
            "duplicate names",
            format!("{}---\n{}", service("s"), service("s")),
            "bad.yaml#2 Service shop/s: is already defined in bad.yaml#1",
        ),
        (
            "a 10,000-rule route",
            route(&format!("[{ten_thousand}]")),
            "bad.yaml#1 HTTPRoute shop/r: spec.rules: has 10000 items",
        ),
        (
            "a named port nobody has, for the selected pods",
            policy("{podSelector: {}, ingress: [{ports: [{port: nobody}]}]}"),
            "bad.yaml#1 NetworkPolicy shop/p: spec.ingress[0].ports[0].port: no selected pod has a TCP port named \"nobody\"",
        ),
        (
            "a named port nobody has, for the peers",
            policy("{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: nobody}]}]}"),
            "bad.yaml#1 NetworkPolicy shop/p: spec.egress[0].ports[0].port: no peer has a TCP port named \"nobody\"",
        ),
    ];
    let mut running = Running::start(&[]).await;
    let mut missing = Vec::new();
    for (what, text, expected) in table {
        running.write("bad.yaml", &text);
        running
            .until(|running| !running.problems().is_empty())
            .await;
        let problems = running.problems();
        if !problems.iter().any(|problem| problem.starts_with(expected)) {
            missing.push((what, expected, problems));
        }
        assert!(rest_works(&running), "{what}");
        running.write("bad.yaml", "");
        running.until(|running| running.problems().is_empty()).await;
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
