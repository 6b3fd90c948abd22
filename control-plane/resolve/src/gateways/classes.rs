//! GatewayClasses that name us as their controller.

use std::{collections::BTreeMap, sync::Arc};

use heddle_resources::Cluster;

use crate::{
    settings::CONTROLLER_NAME,
    status::{ConditionType, Conditions, GatewayClassStatus},
};

/// What we say that we can do (GEP-2162); sorted. Features that nothing else than a wish stands behind are not in it.
const SUPPORTED_FEATURES: &[&str] = &[
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "GRPCRouteRequestHeaderModifier",
    "Gateway",
    "GatewayHTTPListenerIsolation",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetryCodes",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
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
];

/// A class of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Class {
    /// Whether its Gateways are served.
    pub(super) accepted: bool,
}

/// Our classes and their statuses.
pub(super) fn ours(
    cluster: &Cluster,
) -> (
    BTreeMap<Arc<str>, Class>,
    BTreeMap<Arc<str>, GatewayClassStatus>,
) {
    let mut classes = BTreeMap::new();
    let mut statuses = BTreeMap::new();
    for (name, object) in cluster.gateway_classes.iter() {
        if object.spec.controller_name != CONTROLLER_NAME {
            continue;
        }
        let conditions = Conditions {
            generation: object.metadata.generation,
        };
        let accepted = object.spec.parameters_ref.is_none();
        let condition = if accepted {
            conditions.yes(ConditionType::Accepted, "Accepted")
        } else {
            let message = "spec.parametersRef: a class takes no parameters";
            conditions.no(ConditionType::Accepted, "InvalidParameters", message)
        };
        classes.insert(name.clone(), Class { accepted });
        // "Best effort": other releases are accepted, and it is said that they are others (GatewayClassConditionStatusSupportedVersion).
        let version = cluster
            .gateway_api
            .as_ref()
            .map(|api| match api.unsupported() {
                None => conditions.yes(ConditionType::SupportedVersion, "SupportedVersion"),
                Some(message) => conditions.no(
                    ConditionType::SupportedVersion,
                    "UnsupportedVersion",
                    message,
                ),
            });
        let status = GatewayClassStatus {
            conditions: [condition].into_iter().chain(version).collect(),
            supported_features: SUPPORTED_FEATURES.to_vec(),
        };
        statuses.insert(name.clone(), status);
    }
    (classes, statuses)
}

#[cfg(test)]
mod tests;
