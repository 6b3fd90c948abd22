//! Clusters and their endpoints.

use heddle_proto::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy},
            },
            core::v3::HealthStatus,
            endpoint::v3::{
                ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
        },
        extensions::upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{
                UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
            },
        },
    },
    google::protobuf::Any,
};
use serde_json::{Value, json};

use super::{
    fields::{Fields, address, duration, metadata, packed, structure},
    filter::source,
    listener::socket,
};

pub(super) fn cluster(cluster: &Cluster) -> Value {
    let discovery = match cluster.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(kind)) => {
            DiscoveryType::try_from(kind).map_or("?", |kind| kind.as_str_name())
        }
        _ => "",
    };
    let balance = LbPolicy::try_from(cluster.lb_policy).map_or("?", |policy| policy.as_str_name());
    let eds = cluster.eds_cluster_config.as_ref().map(|eds| {
        Fields::new()
            .text("service_name", &eds.service_name)
            .text("eds_config", source(eds.eds_config.as_ref()))
            .value()
    });
    let port = match &cluster.lb_config {
        Some(LbConfig::OriginalDstLbConfig(config)) => config.upstream_port_override.as_ref(),
        _ => None,
    };
    let port = port.map(|port| json!({ "upstream_port_override": port.value }));
    let sockets = cluster.transport_socket_matches.iter().map(|matched| {
        Fields::new()
            .text("name", &matched.name)
            .put(
                "match",
                matched.r#match.as_ref().map_or(Value::Null, structure),
            )
            .put(
                "transport_socket",
                socket(matched.transport_socket.as_ref()),
            )
            .value()
    });
    let options = &cluster.typed_extension_protocol_options;
    let options = options
        .iter()
        .map(|(key, config)| (key.clone(), http_options(config)));
    Fields::new()
        .text("name", &cluster.name)
        .text("type", discovery)
        .put("eds_cluster_config", json!(eds))
        .text("lb_policy", balance)
        .put(
            "connect_timeout",
            duration(cluster.connect_timeout.as_ref()),
        )
        .put(
            "load_assignment",
            cluster
                .load_assignment
                .as_ref()
                .map_or(Value::Null, load_assignment),
        )
        .put("original_dst_lb_config", json!(port))
        .put(
            "typed_extension_protocol_options",
            Value::Object(options.collect()),
        )
        .list("transport_socket_matches", sockets)
        .put(
            "transport_socket",
            socket(cluster.transport_socket.as_ref()),
        )
        .value()
}

fn http_options(config: &Any) -> Value {
    let shown = packed(config, |options: &HttpProtocolOptions| {
        match &options.upstream_protocol_options {
            Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(config)) => {
                let http1 = config.http_protocol_options.as_ref().map(|_| json!({}));
                let http2 = config.http2_protocol_options.as_ref().map(|_| json!({}));
                json!({ "use_downstream_protocol_config": {
                    "http_protocol_options": http1,
                    "http2_protocol_options": http2,
                } })
            }
            Some(UpstreamProtocolOptions::ExplicitHttpConfig(config)) => {
                let protocol = match config.protocol_config {
                    Some(ProtocolConfig::Http2ProtocolOptions(_)) => "http2_protocol_options",
                    _ => "?",
                };
                json!({ "explicit_http_config": { protocol: {} } })
            }
            _ => Value::Null,
        }
    });
    shown.unwrap_or_else(|| json!({ "@type": config.type_url }))
}

pub(super) fn load_assignment(assignment: &ClusterLoadAssignment) -> Value {
    Fields::new()
        .text("cluster_name", &assignment.cluster_name)
        .list("endpoints", assignment.endpoints.iter().map(locality))
        .value()
}

fn locality(locality: &LocalityLbEndpoints) -> Value {
    let place = locality
        .locality
        .as_ref()
        .map(|place| json!({ "zone": place.zone }));
    let weight = locality
        .load_balancing_weight
        .as_ref()
        .map(|weight| weight.value);
    Fields::new()
        .put("locality", json!(place))
        .put("load_balancing_weight", json!(weight))
        .list("lb_endpoints", locality.lb_endpoints.iter().map(endpoint))
        .value()
}

fn endpoint(endpoint: &LbEndpoint) -> Value {
    let health = match HealthStatus::try_from(endpoint.health_status) {
        Ok(HealthStatus::Unknown) => "",
        Ok(health) => health.as_str_name(),
        Err(_) => "?",
    };
    let Some(HostIdentifier::Endpoint(host)) = &endpoint.host_identifier else {
        return Value::Null;
    };
    Fields::new()
        .put("address", address(host.address.as_ref()))
        .text("hostname", &host.hostname)
        .text("health_status", health)
        .put("metadata", metadata(endpoint.metadata.as_ref()))
        .value()
}
