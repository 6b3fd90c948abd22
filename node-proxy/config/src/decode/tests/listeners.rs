use heddle_proto::{
    envoy::{
        config::{
            core::v3::TrafficDirection,
            listener::v3::{
                AdditionalAddress, FilterChainMatch, Listener as WireListener, ListenerFilter,
            },
        },
        extensions::filters::{
            http::{cors::v3::Cors, rbac::v3::Rbac as HttpRbac},
            network::{echo::v3::Echo, tcp_proxy::v3::TcpProxy},
        },
    },
    heddle::v1::listener_scope::{Kind, Outbound},
    pack,
};

use super::refused;
use crate::{
    BoundProtocol, OutboundProtocol,
    decode::{DecodeError, Listener, listener},
    testing::*,
};

const NAME: &str = "shop/cart:80";

fn decode(wire: &WireListener) -> Result<Listener, DecodeError> {
    listener(&wire.name, &pack(wire), &trust_domain())
}

#[track_caller]
fn protocol(wire: &WireListener) -> OutboundProtocol {
    match decode(wire).expect("valid") {
        Listener::Outbound(outbound, _) => outbound.protocol.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_spoken_follows_from_the_filter_chains() {
    let routes = || NAME.into();
    let cluster = || NAME.into();
    assert_eq!(
        protocol(&outbound_http(NAME, "10.96.0.1")),
        OutboundProtocol::Http { routes: routes() }
    );
    assert_eq!(
        protocol(&outbound(NAME, "10.96.0.1", 80, vec![tcp_proxy(NAME)])),
        OutboundProtocol::Opaque { cluster: cluster() }
    );
    assert_eq!(
        protocol(&outbound_detect(NAME, "10.96.0.1")),
        OutboundProtocol::Detect {
            routes: routes(),
            cluster: cluster()
        }
    );
}

#[test]
fn an_outbound_listener_has_all_its_addresses_and_its_clients_namespace() {
    let mut wire = outbound_http(NAME, "10.96.0.1");
    wire.additional_addresses = vec![AdditionalAddress {
        address: Some(address("fd00::1", 80)),
        ..AdditionalAddress::default()
    }];
    wire.metadata = scope(Kind::Outbound(Outbound {
        client_namespace: "checkout".to_owned(),
    }));
    let Listener::Outbound(found, None) = decode(&wire).expect("valid") else {
        panic!("not outbound");
    };
    let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.96.0.1:80", "[fd00::1]:80"]);
    assert_eq!(
        found.client_namespace.as_ref().map(|n| n.as_str()),
        Some("checkout")
    );
}

#[test]
fn without_metadata_the_direction_tells_that_it_is_outbound() {
    let mut wire = outbound_http(NAME, "10.96.0.1");
    wire.metadata = None;
    assert!(matches!(decode(&wire), Ok(Listener::Outbound(..))));
    wire.traffic_direction = TrafficDirection::Inbound.into();
    assert!(matches!(decode(&wire), Ok(Listener::Bound(..))));
    wire.traffic_direction = 7;
    refused(decode(&wire), "traffic_direction", "unknown");
}

#[test]
fn routes_may_stand_in_the_listener() {
    let wire = outbound(
        NAME,
        "10.96.0.1",
        80,
        vec![http(inline(routes("any name", vec![to(NAME)])))],
    );
    let Listener::Outbound(found, Some(table)) = decode(&wire).expect("valid") else {
        panic!("no table");
    };
    assert_eq!(
        found.protocol,
        OutboundProtocol::Http {
            routes: table.name.clone()
        }
    );
    assert_ne!(
        &*table.name, NAME,
        "it could hide a RouteConfiguration of that name"
    );
}

#[test]
fn a_gateways_listener_has_an_address_and_routes() {
    let Listener::Bound(found, None) =
        decode(&gateway("gateway/infra/web/http", 8080)).expect("valid")
    else {
        panic!("not a gateway");
    };
    assert_eq!(found.address.to_string(), "0.0.0.0:8080");
    assert!(found.is_gateways);
    let BoundProtocol::Http { routes } = &found.protocol else {
        panic!("{found:?}");
    };
    assert_eq!(&**routes, "gateway/infra/web/http");
}

#[test]
fn what_is_not_understood_is_refused_with_its_field() {
    let base = || outbound_http(NAME, "10.96.0.1");
    let with = |change: fn(&mut WireListener)| {
        let mut wire = base();
        change(&mut wire);
        decode(&wire)
    };
    refused(with(|l| l.address = None), "address", "socket_address");
    refused(
        with(|l| l.address = Some(address("example.com", 80))),
        "address.socket_address.address",
        "IP address",
    );
    refused(
        with(|l| l.address = Some(address("10.96.0.1", 65536))),
        "address.socket_address.port_value",
        "65536",
    );
    refused(
        with(|l| l.address = Some(address("10.96.0.1", 0))),
        "address.socket_address.port_value",
        "must not be 0",
    );
    refused(with(|l| l.filter_chains.clear()), "filter_chains", "empty");
    refused(
        with(|l| l.filter_chains[0].filters.clear()),
        "filter_chains[0].filters",
        "empty",
    );
    refused(
        with(|l| l.filter_chains.push(l.filter_chains[0].clone())),
        "filter_chains[1]",
        "second chain",
    );
    refused(
        with(|l| {
            let echo = filter("envoy.filters.network.echo", &Echo::default());
            l.filter_chains[0].filters.insert(0, echo);
        }),
        "filter_chains[0].filters[0]",
        "unknown filter \"envoy.filters.network.echo\"",
    );
    refused(
        with(|l| l.filter_chains[0].filters = vec![filter("t", &TcpProxy::default())]),
        "filter_chains[0].filters[0].cluster",
        "missing",
    );
    refused(
        with(|l| l.filter_chains[0].filters[0].config_type = None),
        "filter_chains[0].filters[0]",
        "no typed_config",
    );
    refused(
        with(|l| {
            l.filter_chains[0].filter_chain_match = Some(FilterChainMatch {
                server_names: vec!["a".to_owned()],
                ..FilterChainMatch::default()
            });
        }),
        "filter_chains[0].filter_chain_match.server_names",
        "not understood",
    );
    refused(
        with(|l| l.filter_chains[0].transport_socket = Some(mutual_tls("x"))),
        "filter_chains[0].transport_socket",
        "not understood",
    );
    refused(
        with(|l| {
            l.listener_filters.push(ListenerFilter {
                name: "envoy.filters.listener.proxy_protocol".to_owned(),
                ..ListenerFilter::default()
            });
        }),
        "listener_filters[0]",
        "proxy_protocol",
    );
    refused(
        with(|l| l.traffic_direction = TrafficDirection::Inbound.into()),
        "traffic_direction",
        "contradicts",
    );
    refused(
        with(|l| {
            l.metadata = scope(Kind::Outbound(Outbound {
                client_namespace: "No Namespace".to_owned(),
            }));
        }),
        "metadata.outbound.client_namespace",
        "namespace",
    );
}

#[test]
fn policy_outside_of_a_pods_listener_is_refused() {
    let filters = vec![
        network_rbac("envoy.filters.network.rbac", &allow_all()),
        tcp_proxy(NAME),
    ];
    let wire = outbound(NAME, "10.96.0.1", 80, filters);
    refused(decode(&wire), "filter_chains[0].filters", "RBAC");
}

#[test]
fn an_unknown_http_filter_is_refused_unless_it_is_optional() {
    let with = |optional| {
        let mut unknown = http_filter("envoy.filters.http.cors", &Cors::default());
        unknown.is_optional = optional;
        let manager = manager(rds(NAME), vec![unknown]);
        decode(&outbound(
            NAME,
            "10.96.0.1",
            80,
            vec![filter("hcm", &manager)],
        ))
    };
    refused(
        with(false),
        "filter_chains[0].filters[0].http_filters[0]",
        "cors",
    );
    assert!(with(true).is_ok());
}

#[test]
fn http_filters_must_end_in_the_router() {
    let rbac = http_filter("rbac", &HttpRbac::default());
    let mut manager = manager(rds(NAME), Vec::new());
    manager.http_filters = vec![rbac];
    let wire = outbound(NAME, "10.96.0.1", 80, vec![filter("hcm", &manager)]);
    refused(
        decode(&wire),
        "filter_chains[0].filters[0].http_filters",
        "router",
    );
}

#[test]
fn a_resource_must_be_what_it_was_sent_as() {
    let wire = outbound_http(NAME, "10.96.0.1");
    let result = listener("another", &pack(&wire), &trust_domain());
    refused(result, "name", "another");
    let foreign = pack(&cluster(
        NAME,
        heddle_proto::envoy::config::cluster::v3::cluster::DiscoveryType::Eds,
    ));
    refused(listener(NAME, &foreign, &trust_domain()), "", "Cluster");
}
