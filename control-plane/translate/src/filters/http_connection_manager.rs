//! HttpConnectionManager: reads a connection as HTTP and routes each request.

use heddle_proto::{
    envoy::{
        config::{
            listener::v3::Filter,
            route::v3::{
                NonForwardingAction, Route, RouteAction, RouteConfiguration, RouteMatch,
                VirtualHost, route::Action, route_action::ClusterSpecifier,
                route_match::PathSpecifier,
            },
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, HttpFilter, Rds,
            http_connection_manager::{
                ForwardClientCertDetails, RouteSpecifier, SetCurrentClientCertDetails,
            },
        },
    },
    google::protobuf::Any,
    pack,
};

use super::{network_filter, router::router};
use crate::{clusters::LOCAL, wire};

pub(super) const NAME: &str = "envoy.filters.network.http_connection_manager";

/// Routes by a RouteConfiguration that is fetched by name on the same stream.
pub(crate) fn routed_http(route_table: &str) -> Filter {
    let config = HttpConnectionManager {
        stat_prefix: route_table.to_owned(),
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: wire::ads(),
            route_config_name: route_table.to_owned(),
        })),
        http_filters: vec![router()],
        ..HttpConnectionManager::default()
    };
    network_filter(NAME, &config)
}

/// The same for a gRPC client, which is no listener (gRFC A27).
pub(crate) fn routed_api(route_table: &str) -> Any {
    let config = HttpConnectionManager {
        route_specifier: Some(RouteSpecifier::Rds(Rds {
            config_source: wire::ads(),
            route_config_name: route_table.to_owned(),
        })),
        http_filters: vec![router()],
        ..HttpConnectionManager::default()
    };
    pack(&config)
}

/// For a gRPC server, which handles all requests itself (gRFC A36), after these filters.
pub(crate) fn served_http(listener: &str, filters: Vec<HttpFilter>) -> Filter {
    let route = Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(Action::NonForwardingAction(NonForwardingAction {})),
        ..Route::default()
    };
    let config = HttpConnectionManager {
        stat_prefix: listener.to_owned(),
        route_specifier: Some(RouteSpecifier::RouteConfig(everything(listener, route))),
        http_filters: filters.into_iter().chain([router()]).collect(),
        ..HttpConnectionManager::default()
    };
    network_filter(NAME, &config)
}

/// What is done with HTTP that arrives at a pod.
pub(crate) struct InboundHttp<'a> {
    /// Name of the listener, for statistics.
    pub(crate) listener: &'a str,
    /// Policy, before the request goes on.
    pub(crate) authorization: Option<HttpFilter>,
    /// Tell the application who calls.
    pub(crate) forward_identity: bool,
}

/// Sends every request on to the pod itself.
pub(crate) fn inbound_http(http: InboundHttp<'_>) -> Filter {
    // What a client claims about itself is dropped in both cases; only what mutual TLS proved is told.
    let (forward, details) = if http.forward_identity {
        let details = SetCurrentClientCertDetails {
            uri: true,
            ..SetCurrentClientCertDetails::default()
        };
        (ForwardClientCertDetails::SanitizeSet, Some(details))
    } else {
        (ForwardClientCertDetails::Sanitize, None)
    };
    let config = HttpConnectionManager {
        stat_prefix: http.listener.to_owned(),
        route_specifier: Some(RouteSpecifier::RouteConfig(to_local())),
        http_filters: http.authorization.into_iter().chain([router()]).collect(),
        forward_client_cert_details: forward.into(),
        set_current_client_cert_details: details,
        ..HttpConnectionManager::default()
    };
    network_filter(NAME, &config)
}

fn to_local() -> RouteConfiguration {
    let route = Route {
        name: LOCAL.to_owned(),
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(ClusterSpecifier::Cluster(LOCAL.to_owned())),
            // Absent would mean Envoy's 15 s.
            timeout: wire::duration(std::time::Duration::ZERO),
            ..RouteAction::default()
        })),
        ..Route::default()
    };
    everything(LOCAL, route)
}

/// One route for all hosts.
fn everything(name: &str, route: Route) -> RouteConfiguration {
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: name.to_owned(),
            domains: vec!["*".to_owned()],
            routes: vec![route],
            ..VirtualHost::default()
        }],
        ..RouteConfiguration::default()
    }
}
