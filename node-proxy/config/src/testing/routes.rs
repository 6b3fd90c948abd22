//! Route tables.

use heddle_proto::envoy::config::{
    core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction},
    route::v3::{
        Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, WeightedCluster,
        route::Action, route_action::ClusterSpecifier, route_match::PathSpecifier,
        weighted_cluster::ClusterWeight,
    },
};
use heddle_proto::envoy::r#type::matcher::v3::RegexMatcher;

use super::{number, seconds};

pub(crate) fn regex(pattern: &str) -> RegexMatcher {
    RegexMatcher {
        regex: pattern.to_owned(),
        ..RegexMatcher::default()
    }
}

pub(crate) fn matching(path: PathSpecifier) -> RouteMatch {
    RouteMatch {
        path_specifier: Some(path),
        ..RouteMatch::default()
    }
}

pub(crate) fn all_paths() -> RouteMatch {
    matching(PathSpecifier::Prefix("/".to_owned()))
}

pub(crate) fn weighted(clusters: &[(&str, u32)]) -> RouteAction {
    let cluster = |(name, weight): &(&str, u32)| ClusterWeight {
        name: (*name).to_owned(),
        weight: number(*weight),
        ..ClusterWeight::default()
    };
    RouteAction {
        cluster_specifier: Some(ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: clusters.iter().map(cluster).collect(),
            ..WeightedCluster::default()
        })),
        timeout: seconds(0),
        ..RouteAction::default()
    }
}

pub(crate) fn route(matches: RouteMatch, action: Action) -> Route {
    Route {
        name: "route".to_owned(),
        r#match: Some(matches),
        action: Some(action),
        ..Route::default()
    }
}

/// Everything to one cluster.
pub(crate) fn to(cluster: &str) -> Route {
    route(all_paths(), Action::Route(weighted(&[(cluster, 1)])))
}

pub(crate) fn routes(name: &str, routes: Vec<Route>) -> RouteConfiguration {
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: "*".to_owned(),
            domains: vec!["*".to_owned()],
            routes,
            ..VirtualHost::default()
        }],
        ..RouteConfiguration::default()
    }
}

pub(crate) fn header(name: &str, value: &str, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue {
            key: name.to_owned(),
            value: value.to_owned(),
            ..HeaderValue::default()
        }),
        append_action: action.into(),
        ..HeaderValueOption::default()
    }
}
