use heddle_proto::{
    Name,
    envoy::{
        config::{
            cluster::v3::{
                Cluster as WireCluster,
                cluster::{DiscoveryType, LbPolicy},
            },
            core::v3::{HealthStatus, Http2ProtocolOptions, TransportSocket},
            endpoint::v3::ClusterLoadAssignment,
        },
        extensions::upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{
                ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
                explicit_http_config::ProtocolConfig,
            },
        },
    },
    pack,
};

use super::refused;
use crate::{
    Cluster, ClusterKind, EndpointHealth, EndpointSet, UpstreamHttp,
    decode::{self, DecodeError},
    testing::*,
};

const NAME: &str = "shop/cart:80";

fn decode(wire: &WireCluster) -> Result<(Cluster, Option<EndpointSet>), DecodeError> {
    decode::cluster(&wire.name, &pack(wire))
}

#[test]
fn the_kind_of_a_cluster_follows_from_its_type() {
    let kind = |wire: &WireCluster| decode(wire).expect("valid").0.kind;
    let eds = cluster(NAME, DiscoveryType::Eds);
    assert_eq!(kind(&eds), ClusterKind::Eds(NAME.into()));
    let mut unnamed = eds;
    unnamed.eds_cluster_config = None;
    assert_eq!(kind(&unnamed), ClusterKind::Eds(NAME.into()));
    let original = cluster("local", DiscoveryType::OriginalDst);
    assert_eq!(kind(&original), ClusterKind::OriginalDestination);
    let mut alias = cluster("shop/db", DiscoveryType::LogicalDns);
    let target = endpoint("DB.example.com.", 0, HealthStatus::Unknown);
    alias.load_assignment = Some(assignment("shop/db", vec![target]));
    assert_eq!(kind(&alias), ClusterKind::Alias("db.example.com".into()));
}

#[test]
fn the_endpoints_of_a_static_cluster_stand_in_it() {
    let mut wire = cluster(NAME, DiscoveryType::Static);
    let set = assignment(
        NAME,
        vec![endpoint("10.1.0.4", 8080, HealthStatus::Healthy)],
    );
    wire.load_assignment = Some(set);
    let (found, endpoints) = decode(&wire).expect("valid");
    assert!(matches!(found.kind, ClusterKind::Eds(name) if &*name != NAME));
    assert_eq!(endpoints.expect("endpoints").endpoints.len(), 1);
}

#[test]
fn how_http_is_spoken_is_read_from_the_protocol_options() {
    let with = |options: UpstreamProtocolOptions| {
        let options = HttpProtocolOptions {
            upstream_protocol_options: Some(options),
            ..HttpProtocolOptions::default()
        };
        let mut wire = cluster(NAME, DiscoveryType::Eds);
        wire.typed_extension_protocol_options =
            [(HttpProtocolOptions::full_name(), pack(&options))].into();
        decode(&wire).expect("valid").0.http
    };
    let explicit = |config| {
        UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig {
            protocol_config: Some(config),
        })
    };
    let as_client =
        UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig::default());
    assert_eq!(with(as_client), UpstreamHttp::AsClient);
    assert_eq!(
        with(explicit(ProtocolConfig::Http2ProtocolOptions(
            Http2ProtocolOptions::default()
        ))),
        UpstreamHttp::Http2
    );
    assert_eq!(
        with(explicit(ProtocolConfig::HttpProtocolOptions(
            Default::default()
        ))),
        UpstreamHttp::Http1
    );
    let plain = cluster(NAME, DiscoveryType::Eds);
    assert_eq!(decode(&plain).expect("valid").0.http, UpstreamHttp::Http1);
}

#[test]
fn what_would_protect_or_steer_traffic_and_is_not_understood_is_refused() {
    let with = |change: fn(&mut WireCluster)| {
        let mut wire = cluster(NAME, DiscoveryType::Eds);
        change(&mut wire);
        decode(&wire)
    };
    refused(
        with(|c| {
            c.transport_socket = Some(TransportSocket {
                name: "envoy.transport_sockets.tls".to_owned(),
                ..TransportSocket::default()
            });
        }),
        "transport_socket.typed_config",
        "missing",
    );
    refused(
        with(|c| c.lb_policy = LbPolicy::RingHash.into()),
        "lb_policy",
        "not understood",
    );
    refused(
        with(|c| c.lb_subset_config = Some(Default::default())),
        "lb_subset_config",
        "not understood",
    );
    refused(
        with(|c| c.connect_timeout = seconds(-1)),
        "connect_timeout",
        "negative",
    );
    refused(
        with(|c| c.connect_timeout = seconds(0)),
        "connect_timeout",
        "must not be 0",
    );
    refused(
        with(|c| c.cluster_discovery_type = None),
        "load_assignment",
        "missing",
    );
    let mut alias = cluster(NAME, DiscoveryType::StrictDns);
    alias.load_assignment = Some(assignment(NAME, Vec::new()));
    refused(decode(&alias), "load_assignment", "exactly one");
}

fn endpoints(wire: &ClusterLoadAssignment) -> Result<EndpointSet, DecodeError> {
    decode::load_assignment(&wire.cluster_name, &pack(wire))
}

#[test]
fn endpoints_keep_their_order_and_health_and_the_sick_are_left_out() {
    let mut named = endpoint("10.1.0.1", 8080, HealthStatus::Healthy);
    named.load_balancing_weight = number(3);
    if let Some(heddle_proto::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier::Endpoint(
        inner,
    )) = &mut named.host_identifier
    {
        inner.hostname = "postgres-0".to_owned();
    }
    let set = endpoints(&assignment(
        NAME,
        vec![
            named,
            endpoint("10.1.0.2", 8080, HealthStatus::Unhealthy),
            endpoint("10.1.0.3", 8080, HealthStatus::Draining),
            endpoint("fd00::4", 8080, HealthStatus::Unknown),
            endpoint("10.1.0.1", 8080, HealthStatus::Healthy),
        ],
    ))
    .expect("valid");
    let found: Vec<_> = set
        .endpoints
        .iter()
        .map(|e| {
            (
                e.address.to_string(),
                e.health,
                e.weight,
                e.hostname.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (
                "10.1.0.1:8080".to_owned(),
                EndpointHealth::Healthy,
                3,
                Some("postgres-0")
            ),
            (
                "10.1.0.3:8080".to_owned(),
                EndpointHealth::Draining,
                1,
                None
            ),
            (
                "[fd00::4]:8080".to_owned(),
                EndpointHealth::Healthy,
                1,
                None
            ),
        ]
    );
}

#[test]
fn endpoints_that_are_not_understood_are_refused() {
    let with = |change: fn(&mut ClusterLoadAssignment)| {
        let mut wire = assignment(
            NAME,
            vec![endpoint("10.1.0.1", 8080, HealthStatus::Healthy)],
        );
        change(&mut wire);
        endpoints(&wire)
    };
    let place = |rest: &str| format!("endpoints[0].{rest}");
    refused(
        with(|a| a.endpoints[0].lb_endpoints[0].load_balancing_weight = number(0)),
        &place("lb_endpoints[0].load_balancing_weight"),
        "must not be 0",
    );
    refused(
        with(|a| a.endpoints[0].lb_endpoints[0] = endpoint("a.example", 80, HealthStatus::Healthy)),
        &place("lb_endpoints[0].endpoint.address.socket_address.address"),
        "IP address",
    );
    refused(
        with(|a| a.endpoints[0].lb_endpoints[0].host_identifier = None),
        &place("lb_endpoints[0].endpoint"),
        "missing",
    );
    refused(
        with(|a| a.endpoints[0].lb_endpoints[0].health_status = 99),
        &place("lb_endpoints[0].health_status"),
        "unknown",
    );
    refused(
        with(|a| a.endpoints[0].priority = 1),
        &place("priority"),
        "not understood",
    );
}
