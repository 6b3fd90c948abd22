//! Which of several matches is tried first.
//!
//! HTTPRoute: an exact path, then the longest prefix, a method, the most headers, the most query parameters. GRPCRoute: the longest service, the longest
//! method, the most headers. Then for both: the oldest route, the first by `namespace/name`, the first rule of a route. Where the Gateway
//! API leaves regular expressions to the implementation, they come between exact paths and prefixes, the longest first.

use std::sync::Arc;

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

/// A rule with everything that its place depends on beside the host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// How specific its match is.
    pub(crate) rank: Rank,
    /// metadata.creationTimestamp of its route.
    pub(crate) created: Option<Time>,
    /// The rule itself.
    pub(crate) rule: Arc<RouteRule>,
}

/// How specific the host is that a rule is attached by: (characters of an exact name, characters); 0 in the mesh.
pub(crate) type HostRank = (usize, usize);

/// Puts rules in the order in which they are tried. They come by `namespace/name` of their routes, and those of a route as they are written.
pub(crate) fn in_order<'a>(
    candidates: impl Iterator<Item = (HostRank, &'a Candidate)>,
) -> Vec<Arc<RouteRule>> {
    let mut candidates: Vec<_> = candidates.collect();
    // Stable: what comes first is first among equals.
    candidates.sort_by(|(a_host, a), (b_host, b)| {
        let (first, second) = ((a_host, &a.rank), (b_host, &b.rank));
        second.cmp(&first).then_with(|| a.created.cmp(&b.created))
    });
    candidates
        .into_iter()
        .map(|(_, candidate)| Arc::clone(&candidate.rule))
        .collect()
}
