//! Which of several matches is tried first.
//!
//! HTTPRoute: an exact path, then the longest prefix, a method, the most headers, the most query parameters. GRPCRoute: the longest service, the longest
//! method, the most headers. Then for both: the oldest route, the first by `namespace/name`, the first rule of a route. Where the Gateway
//! API leaves regular expressions to the implementation, they come between exact paths and prefixes, the longest first.

use std::{cmp::Reverse, sync::Arc};

use heddle_model::{PathMatch, RouteRule};
use heddle_resources::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How specific a match is; the greatest goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank([usize; 5]);

impl Rank {
    pub(super) fn http(path: &PathMatch, method: bool, headers: usize, query: usize) -> Self {
        let (class, length) = match path {
            PathMatch::Exact(_) => (2, 0),
            PathMatch::Regex(value) => (1, value.chars().count()),
            PathMatch::Prefix(value) => (0, value.chars().count()),
        };
        Self([class, length, usize::from(method), headers, query])
    }

    pub(super) fn grpc(service: usize, method: usize, headers: usize) -> Self {
        Self([service, method, headers, 0, 0])
    }
}

/// A rule with everything that its place depends on.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// How specific the host is that it was attached by: (characters of an exact name, characters). 0 in the mesh.
    pub(crate) host: (usize, usize),
    /// How specific its match is.
    pub(crate) rank: Rank,
    /// metadata.creationTimestamp of its route.
    pub(crate) created: Option<Time>,
    /// The rule itself.
    pub(crate) rule: Arc<RouteRule>,
}

/// Puts rules in the order in which they are tried.
pub(crate) fn in_order(mut candidates: Vec<Candidate>) -> Vec<Arc<RouteRule>> {
    candidates.sort_by(|a, b| key(a).cmp(&key(b)));
    candidates
        .into_iter()
        .map(|candidate| candidate.rule)
        .collect()
}

fn key(candidate: &Candidate) -> impl Ord + '_ {
    let origin = &candidate.rule.origin;
    (
        Reverse((candidate.host, candidate.rank)),
        &candidate.created,
        &origin.route.key,
        origin.rule,
        origin.match_index,
    )
}
