//! What is done with a request.

use std::{cmp::min, time::Duration};

use heddle_model::{
    Backend, PathMatch, PathRewrite, Redirect, RetryPolicy, ServicePortKey, Timeouts,
    WeightedBackend,
};
use heddle_proto::envoy::config::route::v3::{
    RedirectAction, RetryPolicy as WireRetryPolicy, RouteAction, WeightedCluster,
    redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
    retry_policy::RetryBackOff,
    route_action::{ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier},
    weighted_cluster::ClusterWeight,
};

use super::{headers::HeaderChanges, rewrite::Rewrite};
use crate::{
    clusters::INVALID_BACKEND,
    wire::{duration, number},
};

/// The longest pause between two tries, as a multiple of the first.
const LONGEST_BACKOFF: u32 = 10;

/// What a route that wants retries is tried again after: the statuses that it lists and, asked for or not, "connection errors
/// (disconnect, reset, timeout, TCP failure)" (Gateway API, HTTPRouteRetry; GEP-1731). `reset` means all of those.
const RETRY_ON: &str = "connect-failure,reset,retriable-status-codes";

/// Everything about forwarding.
pub(super) struct Forward<'a> {
    /// Drawn by weight.
    pub(super) backends: &'a [WeightedBackend],
    /// How the path matched; `None`: nothing is rewritten.
    pub(super) matched: Option<&'a PathMatch>,
    /// New path.
    pub(super) rewrite_path: Option<&'a PathRewrite>,
    /// New host.
    pub(super) rewrite_host: Option<&'a str>,
    /// Time limits.
    pub(super) timeouts: &'a Timeouts,
    /// When to try again.
    pub(super) retry: Option<&'a RetryPolicy>,
}

/// Sends the request on.
pub(super) fn forward(to: Forward<'_>) -> RouteAction {
    let rewrite = match (to.matched, to.rewrite_path) {
        (Some(matched), Some(rewrite)) => Rewrite::of(matched, rewrite),
        _ => Rewrite::Nothing,
    };
    let (prefix_rewrite, regex_rewrite) = match rewrite {
        Rewrite::Nothing => (String::new(), None),
        Rewrite::Prefix(prefix) => (prefix, None),
        Rewrite::Regex(regex) => (String::new(), Some(regex)),
    };
    let host = to.rewrite_host.map(str::to_owned);
    RouteAction {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: to.backends.iter().map(cluster_weight).collect(),
            ..WeightedCluster::default()
        })),
        cluster_not_found_response_code: ClusterNotFoundResponseCode::InternalServerError.into(),
        prefix_rewrite,
        regex_rewrite,
        host_rewrite_specifier: host.map(HostRewriteSpecifier::HostRewriteLiteral),
        // Always said: absent would mean Envoy's 15 s, zero means none.
        timeout: duration(whole_timeout(to.timeouts, to.retry)),
        retry_policy: to.retry.map(|retry| retry_policy(retry, to.timeouts)),
        ..RouteAction::default()
    }
}

/// The only backend of a port without routes: itself.
pub(super) fn to_one(port: &ServicePortKey) -> [WeightedBackend; 1] {
    [WeightedBackend {
        weight: 1,
        backend: Backend::Service(port.clone()),
        request_headers: Vec::new(),
        response_headers: Vec::new(),
    }]
}

/// With one try only, the limit for one try is a limit for all.
fn whole_timeout(timeouts: &Timeouts, retry: Option<&RetryPolicy>) -> Duration {
    let limit = match (timeouts.request, timeouts.backend_request, retry) {
        (Some(request), Some(once), None) => Some(min(request, once)),
        (None, Some(once), None) => Some(once),
        (request, _, _) => request,
    };
    limit.unwrap_or(Duration::ZERO)
}

fn cluster_weight(backend: &WeightedBackend) -> ClusterWeight {
    let name = match &backend.backend {
        Backend::Service(port) => port.to_string(),
        Backend::Invalid { .. } => INVALID_BACKEND.to_owned(),
    };
    let request = HeaderChanges::of(&backend.request_headers);
    let response = HeaderChanges::of(&backend.response_headers);
    ClusterWeight {
        name,
        weight: number(backend.weight),
        request_headers_to_add: request.add,
        request_headers_to_remove: request.remove,
        response_headers_to_add: response.add,
        response_headers_to_remove: response.remove,
        ..ClusterWeight::default()
    }
}

fn retry_policy(retry: &RetryPolicy, timeouts: &Timeouts) -> WireRetryPolicy {
    let back_off = retry.backoff.map(|first| RetryBackOff {
        base_interval: duration(first),
        max_interval: duration(first.saturating_mul(LONGEST_BACKOFF)),
    });
    WireRetryPolicy {
        retry_on: RETRY_ON.to_owned(),
        num_retries: number(retry.attempts),
        retriable_status_codes: retry.status_codes.iter().copied().map(u32::from).collect(),
        retry_back_off: back_off,
        per_try_timeout: timeouts.backend_request.and_then(duration),
        ..WireRetryPolicy::default()
    }
}

/// Answers with a redirect.
pub(super) fn redirect(to: &Redirect) -> RedirectAction {
    let code = match to.status {
        301 => RedirectResponseCode::MovedPermanently,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::Found,
    };
    let path = to.path.as_ref().map(|path| match path {
        PathRewrite::Full(path) => PathRewriteSpecifier::PathRedirect(path.to_string()),
        PathRewrite::Prefix(prefix) => PathRewriteSpecifier::PrefixRewrite(prefix.to_string()),
    });
    let scheme = to.scheme.as_ref().map(ToString::to_string);
    RedirectAction {
        scheme_rewrite_specifier: scheme.map(SchemeRewriteSpecifier::SchemeRedirect),
        host_redirect: to
            .host
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        port_redirect: to.port.map(|port| port.get().into()).unwrap_or_default(),
        path_rewrite_specifier: path,
        response_code: code.into(),
        ..RedirectAction::default()
    }
}
