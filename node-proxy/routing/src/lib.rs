//! Decisions: which route a request takes, which cluster it goes to, whether a connection or request is allowed.
//!
//! Pure: no socket, no clock, no protobuf. Values are built once (by `heddle-config`, from xDS) and then only read, by
//! many connections at once. The types follow Envoy's semantics (route.v3, rbac.v3), because that is what they are
//! made from; what Envoy has no word for is said so.

pub mod headers;
pub mod policy;
pub mod route;

pub use headers::{HeaderOp, HeaderOps};
pub use route::{
    Action, ClusterName, DirectResponse, Domain, Forward, HeaderMatcher, Origin, PathMatcher,
    PathRewrite, QueryMatcher, Redirect, RedirectPath, RetryPolicy, Route, RouteMatch, RouteTable,
    StringMatcher, VirtualHost, WeightedCluster, WeightedClusters,
};
