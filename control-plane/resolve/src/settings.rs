//! What the whole mesh agrees on, and the names by which users speak to it.

use std::sync::Arc;

use heddle_model::{MtlsMode, TrustDomain};

/// What the whole mesh agrees on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The root of trust of all identities.
    pub trust_domain: TrustDomain,
    /// DNS suffix of Services, usually `cluster.local`.
    pub cluster_domain: Arc<str>,
    /// Whether pods take plain text where neither the pod nor its namespace says.
    pub mtls: MtlsMode,
}

/// GatewayClass `spec.controllerName` of the Gateways that are ours, and the name under which we write statuses.
pub const CONTROLLER_NAME: &str = "heddle.dev/gateway-controller";

/// Label on a pod or a namespace: `enabled` or `disabled`.
pub(crate) const MESH_LABEL: &str = "heddle.dev/mesh";
/// Annotation on a pod or a namespace: `strict` or `permissive`.
pub(crate) const MTLS_ANNOTATION: &str = "heddle.dev/mtls";
/// Annotation on a pod or a namespace: `true` or `false`.
pub(crate) const FORWARD_IDENTITY_ANNOTATION: &str = "heddle.dev/forward-client-identity";
/// Annotation on a Service: most requests that one gRPC client has open at a time.
pub(crate) const MAX_REQUESTS_ANNOTATION: &str = "heddle.dev/max-requests";
/// Annotation on a Service: the header by whose value gRPC clients choose the endpoint.
pub(crate) const HASH_HEADER_ANNOTATION: &str = "heddle.dev/hash-header";
/// Annotation on a Service: the share of failed calls, in percent, above which gRPC clients leave an endpoint alone.
pub(crate) const OUTLIER_PERCENTAGE_ANNOTATION: &str = "heddle.dev/outlier-failure-percentage";
/// Annotation on a Service: for how long calls are counted for that (GEP-2257).
pub(crate) const OUTLIER_INTERVAL_ANNOTATION: &str = "heddle.dev/outlier-interval";
/// Well-known label of a Node.
pub(crate) const ZONE_LABEL: &str = "topology.kubernetes.io/zone";
/// Label that ties an EndpointSlice to its Service.
pub(crate) const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";
/// Label that every namespace has, whether it is written down or not.
pub(crate) const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// API group of the Gateway API.
pub(crate) const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
