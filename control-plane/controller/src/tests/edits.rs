//! From the saved file to the snapshot.

use heddle_proto::type_url::ROUTE_CONFIGURATION;

use super::*;

fn route(weight: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{name: r, namespace: shop}}\nspec:\n  parentRefs: [{{group: '', kind: Service, name: good}}]\n  rules: [{{backendRefs: [{{name: good, port: 80, weight: {weight}}}]}}]\n"
    )
}

#[tokio::test]
async fn a_saved_edit_becomes_a_snapshot_and_a_broken_one_leaves_the_last() {
    let mut running = Running::start(&[("route.yaml", &route("1"))]).await;
    let of = |running: &Running| running.version(ROUTE_CONFIGURATION, "shop/good:80");
    let first = of(&running).unwrap();
    running.write("route.yaml", &route("2"));
    running.until(|running| of(running).unwrap() != first).await;
    let second = of(&running).unwrap();
    running.write("route.yaml", &route("many"));
    running
        .until(|running| !running.problems().is_empty())
        .await;
    assert_eq!(of(&running).unwrap(), second);
    running.write("route.yaml", &route("1"));
    running.until(|running| of(running).unwrap() == first).await;
    assert!(running.problems().is_empty());
}
