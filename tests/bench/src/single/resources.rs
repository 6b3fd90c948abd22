//! Listeners and clusters, as Heddle's node proxy and Envoy both get them.

use std::net::{Ipv4Addr, SocketAddr};

use heddle_proto::{
    envoy::{
        config::{
            cluster::v3::{
                CircuitBreakers, Cluster,
                circuit_breakers::Thresholds,
                cluster::{ClusterDiscoveryType, DiscoveryType},
            },
            core::v3::{Address, SocketAddress, address, socket_address::PortSpecifier},
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
                lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, FilterChain, Listener, filter},
            route::v3::{
                Route, RouteAction, RouteConfiguration, RouteMatch, VirtualHost, route::Action,
                route_action::ClusterSpecifier, route_match::PathSpecifier,
            },
        },
        extensions::filters::{
            http::router::v3::Router,
            network::http_connection_manager::v3::{
                HttpConnectionManager, HttpFilter, http_connection_manager::RouteSpecifier,
                http_filter,
            },
        },
    },
    google::protobuf::{BoolValue, Duration, UInt32Value},
    pack,
};

use super::{Ports, SERVER_H1};
use crate::{cases::Door, wire};

/// The cluster with the HTTP/1.1 server.
const H1: &str = "h1";

/// A proxy's listeners, one for each door.
pub(super) fn listeners(ports: Ports, doors: &[Door]) -> Vec<Listener> {
    doors
        .iter()
        .map(|door| listener(*door, ports.of(*door)))
        .collect()
}

/// Where they lead.
pub(super) fn clusters() -> Vec<Cluster> {
    vec![cluster(H1, SERVER_H1)]
}

fn address(port: u16) -> Address {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Address {
        address: Some(address::Address::SocketAddress(SocketAddress {
            address: at.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(port.into())),
            ..SocketAddress::default()
        })),
    }
}

fn many() -> Option<UInt32Value> {
    Some(UInt32Value { value: 1 << 20 })
}

fn cluster(name: &str, port: u16) -> Cluster {
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address(port)),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    Cluster {
        name: name.to_owned(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static.into())),
        connect_timeout: Some(Duration {
            seconds: 5,
            nanos: 0,
        }),
        load_assignment: Some(ClusterLoadAssignment {
            cluster_name: name.to_owned(),
            endpoints: vec![LocalityLbEndpoints {
                lb_endpoints: vec![endpoint],
                ..LocalityLbEndpoints::default()
            }],
            ..ClusterLoadAssignment::default()
        }),
        // Envoy's own limits (1,024 connections) are not what is compared.
        circuit_breakers: Some(CircuitBreakers {
            thresholds: vec![Thresholds {
                max_connections: many(),
                max_pending_requests: many(),
                max_requests: many(),
                ..Thresholds::default()
            }],
            ..CircuitBreakers::default()
        }),
        ..Cluster::default()
    }
}

fn listener(door: Door, port: u16) -> Listener {
    let router = HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack(
            &Router::default(),
        ))),
        ..HttpFilter::default()
    };
    let manager = HttpConnectionManager {
        stat_prefix: format!("{door:?}"),
        route_specifier: Some(RouteSpecifier::RouteConfig(routes(door))),
        http_filters: vec![router],
        // What the node proxy does always.
        use_remote_address: Some(BoolValue { value: true }),
        ..HttpConnectionManager::default()
    };
    let filter = Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(pack(&manager))),
    };
    Listener {
        name: format!("{door:?}"),
        address: Some(address(port)),
        filter_chains: vec![FilterChain {
            filters: vec![filter],
            ..FilterChain::default()
        }],
        ..Listener::default()
    }
}

fn routes(door: Door) -> RouteConfiguration {
    RouteConfiguration {
        name: format!("{door:?}"),
        virtual_hosts: vec![VirtualHost {
            name: "server".to_owned(),
            domains: vec![wire::HOST.to_owned()],
            routes: vec![route(wire::ROUTED, to(H1))],
            ..VirtualHost::default()
        }],
        ..RouteConfiguration::default()
    }
}

fn to(cluster: &str) -> ClusterSpecifier {
    ClusterSpecifier::Cluster(cluster.to_owned())
}

fn route(prefix: &str, to: ClusterSpecifier) -> Route {
    Route {
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix(prefix.to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(RouteAction {
            cluster_specifier: Some(to),
            ..RouteAction::default()
        })),
        ..Route::default()
    }
}
