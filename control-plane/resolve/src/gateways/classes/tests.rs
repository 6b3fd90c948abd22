use std::sync::Arc;

use heddle_resources::{GatewayApi, GatewayClass, Object};
use serde_json::json;

use super::*;

/// Every feature that the Gateway API 1.7.0 has a name for.
const NAMES: &[&str] = &[
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "ClusterTrustBundle",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayAddressRoutability",
    "GatewayAddressRoutabilityCluster",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayInfrastructure",
    "GatewayListenerFilters",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetryCodes",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "Mesh",
    "MeshClusterIPMatching",
    "MeshConsumerRoute",
    "MeshHTTPRouteBackendRequestHeaderModification",
    "MeshHTTPRouteNamedRouteRule",
    "MeshHTTPRouteQueryParamMatching",
    "MeshHTTPRouteRedirectPath",
    "MeshHTTPRouteRedirectPort",
    "MeshHTTPRouteRewritePath",
    "MeshHTTPRouteSchemeRedirect",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
];

#[test]
fn features_are_sorted_and_have_the_names_of_the_gateway_api() {
    assert!(SUPPORTED_FEATURES.is_sorted());
    let unknown: Vec<_> = SUPPORTED_FEATURES
        .iter()
        .filter(|feature| !NAMES.contains(feature))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    let mesh: Vec<_> = NAMES
        .iter()
        .filter(|name| name.starts_with("Mesh") && !SUPPORTED_FEATURES.contains(name))
        .collect();
    assert!(
        mesh.is_empty(),
        "features of the mesh that are not claimed: {mesh:?}"
    );
}

/// (reason, status) of `SupportedVersion`, if it is stated.
fn supported_version(version: Option<&str>) -> Option<(&'static str, bool)> {
    let class: GatewayClass = serde_json::from_value(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": "heddle", "generation": 2}, "spec": {"controllerName": CONTROLLER_NAME},
    }))
    .unwrap();
    let mut cluster = Cluster::default();
    cluster.insert(Object::GatewayClass(Arc::new(class)));
    cluster.gateway_api = version.map(|version| {
        let mut api = GatewayApi::default();
        api.insert("httproutes", Some(version));
        Arc::new(api)
    });
    let (classes, statuses) = ours(&cluster);
    assert!(classes["heddle"].accepted, "it goes on as well as it can");
    let conditions = &statuses["heddle"].conditions;
    let stated = conditions
        .iter()
        .find(|condition| condition.r#type == ConditionType::SupportedVersion)?;
    assert_eq!(stated.observed_generation, Some(2));
    Some((stated.reason, stated.status))
}

#[test]
fn a_class_says_whether_the_crds_are_of_a_supported_release_if_that_is_known() {
    assert_eq!(supported_version(None), None);
    assert_eq!(
        supported_version(Some("v1.7.0")),
        Some(("SupportedVersion", true))
    );
    assert_eq!(
        supported_version(Some("v1.2.1")),
        Some(("UnsupportedVersion", false))
    );
}
