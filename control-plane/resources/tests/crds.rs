//! The chart carries the definitions that the types have.

use heddle_resources::AuthorizationPolicy;
use kube::CustomResourceExt;

#[test]
fn the_chart_defines_authorization_policies_as_the_type_does() {
    let chart = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../helm/heddle-crds/files/heddle.dev_authorizationpolicies.yaml"
    );
    let text = std::fs::read_to_string(chart).unwrap();
    let defined: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    let wanted = serde_json::to_value(AuthorizationPolicy::crd()).unwrap();
    assert_eq!(
        defined, wanted,
        "write it anew: cargo run -p heddle-resources --example crds > {chart}"
    );
}
