//! Decisions: which route a request takes, which cluster it goes to, whether a connection or request is allowed.
//!
//! Pure: no socket, no clock, no protobuf. Values are built once (by `heddle-config`, from xDS) and then only read, by
//! many connections at once. The types follow Envoy's semantics (route.v3, rbac.v3), because that is what they are
//! made from; what Envoy has no word for is said so.
//!
//! - [`RouteTable::find`]: host, then the first route whose [`RouteMatch`] holds.
//! - [`Forward::path_and_query`], [`Redirect::location`]: what becomes of the path.
//! - [`policy::Rbac::decide`]: may this connection, this request? It judges a path by all that a server could take it
//!   for, so that no spelling of a path slips through.

mod find;
pub mod headers;
mod index;
mod matching;
pub mod policy;
mod query;
mod redirect;
mod rewrite;
pub mod route;
mod text;

#[cfg(test)]
mod tests;

pub use find::host_without_port;
pub use headers::{HeaderOp, HeaderOps};
pub use index::{Routes, VirtualHosts};
pub use matching::request_host;
pub use rewrite::InvalidPath;
pub use route::{
    Action, ClusterName, DirectResponse, Domain, Forward, HeaderMatcher, Origin, PathMatcher,
    PathRewrite, QueryMatcher, Redirect, RedirectPath, RetryOn, RetryPolicy, Route, RouteMatch,
    RouteTable, StringMatcher, VirtualHost, WeightedCluster, WeightedClusters,
};
