//! Route tables: hosts, matches, actions.

use std::{sync::Arc, time::Duration};

use regex::Regex;

use crate::{HeaderOps, Routes, VirtualHosts};

/// Name of a cluster, as in xDS: `shop/cart:80`.
pub type ClusterName = Arc<str>;

/// A RouteConfiguration.
#[derive(Clone, Debug)]
pub struct RouteTable {
    /// Its xDS name.
    pub name: Arc<str>,
    /// Virtual hosts, in any order.
    pub virtual_hosts: VirtualHosts,
}

/// The routes of some hosts.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    /// Its name.
    pub name: Arc<str>,
    /// For which hosts.
    pub domains: Vec<Domain>,
    /// Tried in order.
    pub routes: Routes,
}

/// A host pattern (route.v3.VirtualHost.domains). Search order: exact, longest suffix, longest prefix, any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Domain {
    /// `www.example.com`, lower case.
    Exact(Arc<str>),
    /// `*.example.com` as `.example.com`: at least one character before it.
    Suffix(Arc<str>),
    /// `example.*` as `example.`: at least one character behind it.
    Prefix(Arc<str>),
    /// `*`.
    Any,
}

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// route.v3.Route.name.
    pub name: Arc<str>,
    /// The user's object that it comes from.
    pub origin: Option<Origin>,
    /// Which requests it is for.
    pub matches: RouteMatch,
    /// What to do.
    pub action: Action,
    /// Changes to the request's headers.
    pub request_headers: HeaderOps,
    /// Changes to the response's headers.
    pub response_headers: HeaderOps,
}

/// The user's object that a route comes from (metadata `dev.heddle.route`); for logs and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `HTTPRoute` or `GRPCRoute`.
    pub kind: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Index of the rule.
    pub rule: u32,
}

/// All conditions must hold.
#[derive(Clone, Debug)]
pub struct RouteMatch {
    /// On the path without the query.
    pub path: PathMatcher,
    /// On headers; `:method` is one.
    pub headers: Vec<HeaderMatcher>,
    /// On query parameters; the first of a name counts.
    pub query: Vec<QueryMatcher>,
}

/// A condition on the path.
#[derive(Clone, Debug)]
pub enum PathMatcher {
    /// Byte prefix (`prefix`); `/` matches all.
    Prefix(Arc<str>),
    /// Prefix by path elements (`path_separated_prefix`): `/foo` for `/foo`, `/foo/`, `/foo/bar`.
    ElementPrefix(Arc<str>),
    /// The whole path (`path`).
    Exact(Arc<str>),
    /// The whole path matches (`safe_regex`).
    Regex(Regex),
}

/// A condition on a string. Regular expressions are anchored on both ends when they are built.
#[derive(Clone, Debug)]
pub enum StringMatcher {
    /// Byte for byte.
    Exact(Arc<str>),
    /// Begins with.
    Prefix(Arc<str>),
    /// Ends with.
    Suffix(Arc<str>),
    /// Contains.
    Contains(Arc<str>),
    /// The whole value matches.
    Regex(Regex),
}

/// A condition on a header. Several values of one name are joined with `,` (Envoy's rule).
#[derive(Clone, Debug)]
pub struct HeaderMatcher {
    /// Lower case; `:method`, `:path`, `:authority` and `:scheme` too.
    pub name: Arc<str>,
    /// On its value; `None`: it is present.
    pub value: Option<StringMatcher>,
    /// The condition must not hold. A condition on the value of an absent header does not hold, inverted or not
    /// (route.v3.HeaderMatcher without `treat_missing_header_as_empty`).
    pub invert: bool,
}

/// A condition on a query parameter.
#[derive(Clone, Debug)]
pub struct QueryMatcher {
    /// Exact name.
    pub name: Arc<str>,
    /// On its value; `None`: it is present.
    pub value: Option<StringMatcher>,
}

/// What is done with a request.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send it on.
    Forward(Arc<Forward>),
    /// Answer with a redirect.
    Redirect(Redirect),
    /// Answer at once.
    Respond(DirectResponse),
}

/// Send the request to a cluster.
#[derive(Clone, Debug)]
pub struct Forward {
    /// Drawn by weight.
    pub clusters: WeightedClusters,
    /// Change of the path.
    pub path_rewrite: Option<PathRewrite>,
    /// New Host header.
    pub host_rewrite: Option<Arc<str>>,
    /// For the whole request, retries included; `None`: no limit.
    pub timeout: Option<Duration>,
    /// When to try again.
    pub retry: Option<RetryPolicy>,
}

/// Clusters and their shares.
#[derive(Clone, Debug)]
pub struct WeightedClusters {
    clusters: Vec<Arc<WeightedCluster>>,
    total: u64,
}

/// A cluster and its share.
#[derive(Clone, Debug)]
pub struct WeightedCluster {
    /// Where. `None`: this share is answered 500 (a backend that does not exist).
    pub cluster: Option<ClusterName>,
    /// Its share is weight / sum of weights.
    pub weight: u32,
    /// Changes to the request's headers for this cluster only.
    pub request_headers: HeaderOps,
    /// Changes to the response's headers for this cluster only.
    pub response_headers: HeaderOps,
}

impl WeightedClusters {
    /// Needs at least one positive weight.
    pub fn new(clusters: Vec<WeightedCluster>) -> Option<Self> {
        let total = clusters.iter().map(|c| u64::from(c.weight)).sum();
        let clusters = clusters.into_iter().map(Arc::new).collect();
        (total > 0).then_some(Self { clusters, total })
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<WeightedCluster>> {
        self.clusters.iter()
    }

    /// Picks by a number of the full range. Numbers that are spread evenly over that range (random, or better) are spread over
    /// the clusters by their weights.
    pub fn pick(&self, number: u64) -> &Arc<WeightedCluster> {
        // number / 2⁶⁴ × total, which is below the total.
        let mut point = ((u128::from(number) * u128::from(self.total)) >> 64) as u64;
        for cluster in &self.clusters {
            let weight = u64::from(cluster.weight);
            if point < weight {
                return cluster;
            }
            point -= weight;
        }
        // Unreachable: point < total = sum of the weights. The last one is a safe answer all the same.
        &self.clusters[self.clusters.len() - 1]
    }
}

/// How the path of a forwarded request changes; the query stays.
#[derive(Clone, Debug)]
pub enum PathRewrite {
    /// The matched prefix becomes this (`prefix_rewrite`).
    Prefix(Arc<str>),
    /// Every match of the expression in the path becomes the substitution (`regex_rewrite`); `\1` for groups in
    /// Envoy's writing, already turned into `${1}`.
    Regex(Regex, Arc<str>),
}

/// When to try again (route.v3.RetryPolicy).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Further tries after the first.
    pub retries: u32,
    /// After which ends of a try.
    pub on: RetryOn,
    /// Limit for one try.
    pub per_try_timeout: Option<Duration>,
    /// First pause; doubles each time with full jitter.
    pub base_backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
}

/// The ends of a try that are worth another (route.v3.RetryPolicy.retry_on; what the words mean stands in Envoy's
/// documentation of `x-envoy-retry-on` and `x-envoy-retry-grpc-on`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// Any end without a response, a try's time limit included (`reset`; `5xx` and `gateway-error` too, since such an end is
    /// answered with one).
    pub reset: bool,
    /// No connection could be made (`connect-failure`).
    pub connect_failure: bool,
    /// The endpoint said that it did nothing (`refused-stream`: REFUSED_STREAM of HTTP/2).
    pub refused_stream: bool,
    /// It ended before the request's head was sent (`reset-before-request`).
    pub reset_before_request: bool,
    /// Statuses of responses, sorted: any 5xx (`5xx`), 502, 503 and 504 (`gateway-error`), 409 (`retriable-4xx`), those of
    /// `retriable_status_codes`.
    pub statuses: Vec<u16>,
    /// Codes of `grpc-status` in a response's headers, sorted (`cancelled`, `deadline-exceeded`, `resource-exhausted`,
    /// `internal`, `unavailable`).
    pub grpc_codes: Vec<u16>,
}

/// A redirect (route.v3.RedirectAction).
#[derive(Clone, Debug)]
pub struct Redirect {
    /// `http` or `https`; absent: the request's.
    pub scheme: Option<Arc<str>>,
    /// Absent: the request's.
    pub host: Option<Arc<str>>,
    /// Absent: the well-known port of `scheme` if that is given, else the port that the client connected to (Gateway
    /// API, HTTPRequestRedirectFilter.port). A scheme's well-known port is never written out.
    pub port: Option<u16>,
    /// Absent: unchanged.
    pub path: Option<RedirectPath>,
    /// 301, 302, 303, 307, 308.
    pub status: u16,
    /// Drop the query.
    pub strip_query: bool,
}

/// The path of a redirect.
#[derive(Clone, Debug)]
pub enum RedirectPath {
    /// The whole path; the request's query stays, unless this has one of its own.
    Full(Arc<str>),
    /// The matched prefix becomes this.
    Prefix(Arc<str>),
}

/// Answer at once.
#[derive(Clone, Debug)]
pub struct DirectResponse {
    /// 200 to 599.
    pub status: u16,
    /// Text of the body.
    pub body: Arc<str>,
}
