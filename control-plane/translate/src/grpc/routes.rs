//! RouteConfiguration, in the words that gRPC knows (gRFC A28, A31, A44).
//!
//! It ignores what it cannot do to a request: changes of headers and paths. A condition on query parameters never holds, redirects and answers
//! of the proxy's own fail the call.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_model::{Backend, PathMatch, RouteAction, RouteRule, RouteTable, ServiceKey};
use heddle_proto::{
    envoy::{
        config::route::v3::{
            RetryPolicy, Route, RouteAction as WireAction, RouteConfiguration, VirtualHost,
            WeightedCluster,
            route::Action,
            route_action::{
                ClusterSpecifier, HashPolicy, MaxStreamDuration,
                hash_policy::{Header, PolicySpecifier},
            },
            route_match::PathSpecifier,
            weighted_cluster::ClusterWeight,
        },
        r#type::matcher::v3::RegexMatcher,
    },
    type_url,
};
use heddle_snapshot::{Resource, Scope};

use super::Target;
use crate::{
    clusters::INVALID_BACKEND,
    memo::Unit,
    routes::{default_route, escape, origin, route},
    wire::number,
};

/// The HTTP statuses that a route may name for another try, with the gRPC status that means the same (google.rpc.Code) in the words
/// of Envoy's `retry_on` (gRFC A44 knows these five).
const RETRIABLE: [(u16, &str); 5] = [
    (429, "resource-exhausted"),
    (499, "cancelled"),
    (500, "internal"),
    (503, "unavailable"),
    (504, "deadline-exceeded"),
];

/// The routes of a target. `table` of `None`: everything to the Service itself.
#[derive(Debug, PartialEq)]
pub(crate) struct GrpcRoutesUnit {
    /// The routes that attached to the port.
    pub(crate) table: Option<Arc<RouteTable>>,
    /// The header that the calls to a Service are spread by.
    pub(crate) hashed: BTreeMap<ServiceKey, Arc<str>>,
}

impl Unit for GrpcRoutesUnit {
    type Key = Target;

    fn build(&self, key: &Target) -> Resource {
        let name = key.to_string();
        let (routes, origin) = match &self.table {
            None => {
                let mut all = default_route(&key.port);
                if let Some(Action::Route(action)) = &mut all.action {
                    action.cluster_specifier = Some(ClusterSpecifier::Cluster(name.clone()));
                    action.hash_policy = hash_policy(self.hashed.get(&key.port.service));
                }
                (
                    vec![all],
                    vec![format!("Service {}", key.port.service).into()],
                )
            }
            Some(table) => {
                let routes = table.rules.iter();
                let routes = routes.map(|rule| for_grpc(rule, key, &self.hashed));
                (routes.collect(), origin(&table.rules))
            }
        };
        let message = RouteConfiguration {
            name: name.clone(),
            virtual_hosts: vec![VirtualHost {
                name: name.clone(),
                // The client asked for this very target; what it calls the authority is its own affair.
                domains: vec!["*".to_owned()],
                routes,
                ..VirtualHost::default()
            }],
            ..RouteConfiguration::default()
        };
        Resource::new(
            type_url::ROUTE_CONFIGURATION,
            name,
            Scope::Grpc,
            origin,
            &message,
        )
    }
}

/// A route in the cluster domain of the target that it is for.
fn for_grpc(rule: &RouteRule, of: &Target, hashed: &BTreeMap<ServiceKey, Arc<str>>) -> Route {
    let mut route = route(rule);
    if let (Some(matches), PathMatch::Prefix(prefix)) = (&mut route.r#match, &rule.matches.path) {
        matches.path_specifier = Some(by_elements(prefix));
    }
    if let (
        Some(Action::Route(action)),
        RouteAction::Forward {
            backends, retry, ..
        },
    ) = (&mut route.action, &rule.action)
    {
        let clusters = backends.iter().map(|weighted| ClusterWeight {
            name: match &weighted.backend {
                Backend::Service(port) => of.beside(port).to_string(),
                Backend::Invalid { .. } => INVALID_BACKEND.to_owned(),
            },
            weight: number(weighted.weight),
            ..ClusterWeight::default()
        });
        action.cluster_specifier = Some(ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: clusters.collect(),
            ..WeightedCluster::default()
        }));
        let to = backends
            .iter()
            .filter_map(|weighted| match &weighted.backend {
                Backend::Service(port) => hashed.get(&port.service),
                Backend::Invalid { .. } => None,
            });
        // Two backends with different headers: a call is spread by what both say.
        action.hash_policy = hash_policy(to.collect::<BTreeSet<_>>());
        let statuses = retry.as_ref().map(|retry| &retry.status_codes[..]);
        action.retry_policy = action
            .retry_policy
            .take()
            .and_then(|known| retries(known, statuses.unwrap_or_default()));
        limit(action);
    }
    route
}

/// gRFC A42.
fn hash_policy<'a>(headers: impl IntoIterator<Item = &'a Arc<str>>) -> Vec<HashPolicy> {
    let by = |header: &Arc<str>| HashPolicy {
        policy_specifier: Some(PolicySpecifier::Header(Header {
            header_name: header.to_string(),
            ..Header::default()
        })),
        ..HashPolicy::default()
    };
    headers.into_iter().map(by).collect()
}

/// gRPC has no matcher by elements; an expression says the same.
fn by_elements(prefix: &str) -> PathSpecifier {
    if prefix == "/" {
        return PathSpecifier::Prefix(prefix.to_owned());
    }
    PathSpecifier::SafeRegex(RegexMatcher {
        regex: format!("{}(/.*)?", escape(prefix)),
        ..RegexMatcher::default()
    })
}

/// `None`: no status of these has a word in gRPC.
fn retries(known: RetryPolicy, statuses: &[u16]) -> Option<RetryPolicy> {
    let words: BTreeSet<&str> = RETRIABLE
        .iter()
        .filter(|(status, _)| statuses.contains(status))
        .map(|(_, word)| *word)
        .collect();
    let words: Vec<&str> = words.into_iter().collect();
    (!words.is_empty()).then(|| RetryPolicy {
        retry_on: words.join(","),
        num_retries: known.num_retries,
        retry_back_off: known.retry_back_off,
        ..RetryPolicy::default()
    })
}

/// gRPC does not look at `timeout`, but at how long a stream may last (gRFC A31).
fn limit(action: &mut WireAction) {
    let limit = action
        .timeout
        .filter(|limit| limit.seconds > 0 || limit.nanos > 0);
    action.max_stream_duration = limit.map(|limit| MaxStreamDuration {
        max_stream_duration: Some(limit),
        ..MaxStreamDuration::default()
    });
}
