//! Words that both sides of the stream must spell the same way.

/// Key of [`ListenerScope`](crate::heddle::v1::ListenerScope) in `Listener.metadata.typed_filter_metadata`.
pub const LISTENER_SCOPE: &str = "dev.heddle.listener";
/// Key of route provenance in `Route.metadata.filter_metadata`: `kind`, `namespace`, `name`, `rule`.
pub const ROUTE_ORIGIN: &str = "dev.heddle.route";
/// The SDS secret that holds the mesh's trust bundle (a `validation_context`).
pub const ROOT_CA_SECRET: &str = "ROOTCA";
/// Key of a node's role in `Node.metadata`; its values are the four roles below.
pub const ROLE: &str = "role";
/// A node proxy.
pub const ROLE_NODE: &str = "node";
/// A proxy that serves one Gateway.
pub const ROLE_GATEWAY: &str = "gateway";
/// Key of the Gateway that a proxy of that role serves, in `Node.metadata`: `namespace/name`.
pub const GATEWAY: &str = "gateway";
/// An Envoy that is an outbound HTTP proxy for the programs beside it.
pub const ROLE_CLIENT: &str = "client";
/// A gRPC `xds:///` client.
pub const ROLE_GRPC: &str = "grpc";

/// The certificate provider that a gRPC bootstrap has to name, for its own certificate and for the mesh's roots.
pub const GRPC_CERTIFICATE_PROVIDER: &str = "default";
/// How the names of gRPC servers' listeners begin; behind it `<namespace>/<pod>/<address and port that it listens on>`.
pub const GRPC_SERVER_PREFIX: &str = "grpc/";
/// The static secret in an Envoy's bootstrap that holds its own certificate and key.
pub const OWN_CERTIFICATE_SECRET: &str = "identity";
/// Listener and RouteConfiguration of an Envoy that is an outbound HTTP proxy.
pub const OUTBOUND_HTTP: &str = "outbound-http";

/// Name of the network RBAC filter that carries NetworkPolicy.
pub const FILTER_NETWORK_POLICY: &str = "heddle.network_policy";
/// Name of the network or HTTP RBAC filter that carries AuthorizationPolicy.
pub const FILTER_AUTHORIZATION: &str = "heddle.authorization";
/// Key of a client's summary in `Node.metadata` of a client status answer (`envoy.service.status.v3`).
pub const CLIENT_STATUS: &str = "dev.heddle.status";
