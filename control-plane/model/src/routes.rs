//! Routes: what is done with a request.

use std::{fmt, sync::Arc, time::Duration};

use crate::{Namespace, ObjectRef, PortNumber, RouteTableKey, ServicePortKey};

/// The routes of one Service port. A port without any route has no table.
/// If no rule matches, the answer is 404 (Gateway API: no fall-through to the Service).
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RouteTable {
    /// Whom it is for.
    pub key: RouteTableKey,
    /// In the order in which they are tried: precedence is already decided. A rule that did not change is the same in memory.
    pub rules: Vec<Arc<RouteRule>>,
}

/// One match of one rule of a route, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RouteRule {
    /// The object and the rule it comes from.
    pub origin: RouteOrigin,
    /// Which requests it is for.
    pub matches: RouteMatch,
    /// What to do.
    pub action: RouteAction,
    /// Changes to the request's headers, before the action.
    pub request_headers: Vec<HeaderMutation>,
    /// Changes to the response's headers.
    pub response_headers: Vec<HeaderMutation>,
}

/// Where a rule comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct RouteOrigin {
    /// The HTTPRoute or GRPCRoute.
    pub route: ObjectRef,
    /// Index in spec.rules.
    pub rule: usize,
    /// Index in spec.rules[].matches.
    pub match_index: usize,
    /// spec.rules[].name.
    pub name: Option<Arc<str>>,
}

impl fmt::Display for RouteOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rule {}", self.route, self.rule)
    }
}

/// All conditions must hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RouteMatch {
    /// On the path, without the query.
    pub path: PathMatch,
    /// On the method, by exact (case-sensitive) comparison.
    pub method: Option<Arc<str>>,
    /// On headers; names in lower case.
    pub headers: Vec<HeaderMatch>,
    /// On query parameters.
    pub query: Vec<QueryMatch>,
}

/// A condition on the path.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum PathMatch {
    /// The whole path, byte for byte.
    Exact(Arc<str>),
    /// By path elements: `/foo` matches `/foo`, `/foo/` and `/foo/bar`, not `/foobar`. No slash at the end, but for `/`.
    Prefix(Arc<str>),
    /// An RE2 expression that must match the whole path.
    Regex(Arc<str>),
}

/// A condition on a string.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum StringMatch {
    /// Byte for byte.
    Exact(Arc<str>),
    /// An RE2 expression that must match the whole value.
    Regex(Arc<str>),
}

/// A condition on a header.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HeaderMatch {
    /// Lower case.
    pub name: Arc<str>,
    /// On its value.
    pub value: StringMatch,
}

/// A condition on a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct QueryMatch {
    /// Exact name.
    pub name: Arc<str>,
    /// On its value.
    pub value: StringMatch,
}

/// What is done with a request.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum RouteAction {
    /// Send it to one of the backends.
    Forward {
        /// Drawn by weight. Never empty, at least one weight is positive.
        backends: Vec<WeightedBackend>,
        /// Change of the path or the host.
        rewrite_path: Option<PathRewrite>,
        /// New Host header.
        rewrite_host: Option<Arc<str>>,
        /// Time limits.
        timeouts: Timeouts,
        /// When to try again.
        retry: Option<RetryPolicy>,
    },
    /// Answer with a redirect.
    Redirect(Redirect),
    /// Answer with this status: 500 where the rule has no usable backend at all.
    Respond {
        /// 200 to 599.
        status: u16,
        /// Why, for the access log.
        reason: Arc<str>,
    },
}

/// A backend and its share.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct WeightedBackend {
    /// 0 to 1,000,000; its share is weight / sum of weights. 0: never chosen.
    pub weight: u32,
    /// Where.
    pub backend: Backend,
    /// Changes to the request's headers for this backend only.
    pub request_headers: Vec<HeaderMutation>,
    /// Changes to the response's headers for this backend only.
    pub response_headers: Vec<HeaderMutation>,
}

/// Where a share of the requests goes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Backend {
    /// To the endpoints of a Service port.
    Service(ServicePortKey),
    /// Nowhere: this share is answered 500 (HTTPRoute: an invalid backendRef).
    Invalid {
        /// What is wrong with the reference.
        reason: Arc<str>,
    },
}

/// A change to headers; names in lower case.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum HeaderMutation {
    /// Replaces all values.
    Set {
        /// Header name.
        name: Arc<str>,
        /// New value.
        value: Arc<str>,
    },
    /// Adds one more value.
    Add {
        /// Header name.
        name: Arc<str>,
        /// Further value.
        value: Arc<str>,
    },
    /// Removes all values.
    Remove {
        /// Header name.
        name: Arc<str>,
    },
}

/// How the path of a forwarded request changes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum PathRewrite {
    /// The whole path becomes this; the query stays.
    Full(Arc<str>),
    /// The matched prefix becomes this.
    Prefix(Arc<str>),
}

/// A redirect.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Redirect {
    /// `http` or `https`; absent: the request's.
    pub scheme: Option<Arc<str>>,
    /// Absent: the request's.
    pub host: Option<Arc<str>>,
    /// Absent: the well-known port of a given scheme, else the listener's.
    pub port: Option<PortNumber>,
    /// Absent: unchanged.
    pub path: Option<RedirectPath>,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

/// The path of a redirect.
pub type RedirectPath = PathRewrite;

/// Time limits of a forwarded request. `None`: no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Timeouts {
    /// From the whole request received to the whole response sent, retries included.
    pub request: Option<Duration>,
    /// For one try.
    pub backend_request: Option<Duration>,
}

/// When to try again.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RetryPolicy {
    /// How many more tries after the first: 1 to 10.
    pub attempts: u32,
    /// Response statuses that are worth another try, sorted.
    pub status_codes: Vec<u16>,
    /// Pause before the first retry; doubles up to ten times itself.
    pub backoff: Option<Duration>,
}

impl RouteTable {
    /// The namespace whose clients it is for, if it is a consumer table.
    pub fn consumer(&self) -> Option<&Namespace> {
        self.key.consumer.as_ref()
    }
}
