//! Gateway API types, generated from the 1.7.0 CRDs (standard channel) by `make generate`; do not edit them.

#![allow(
    missing_docs,
    clippy::all,
    unused_qualifications,
    unreachable_pub,
    reason = "generated: the fields are the published API's"
)]

pub mod gateway;
pub mod gateway_class;
pub mod grpc_route;
pub mod http_route;
pub mod reference_grant;

pub use gateway::Gateway;
pub use gateway_class::GatewayClass;
pub use grpc_route::GrpcRoute as GRPCRoute;
pub use http_route::HttpRoute as HTTPRoute;
pub use reference_grant::ReferenceGrant;
