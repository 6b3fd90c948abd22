//! Cluster, ClusterLoadAssignment.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use heddle_proto::{
    Name,
    envoy::{
        config::{
            cluster::v3::{
                Cluster as WireCluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
            },
            core::v3::HealthStatus,
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint as WireEndpoint, LbEndpoint,
                lb_endpoint::HostIdentifier,
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
    unpack,
};

use super::{
    error::{At, Decoded, refuse, unsupported},
    values::{duration, host_and_port, named, socket_address},
};
use crate::{
    Cluster, ClusterKind, ClusterTls, Endpoint, EndpointHealth, EndpointSet, UpstreamHttp,
};

/// cluster.v3.Cluster.connect_timeout, if absent.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Decodes a Cluster, with its endpoints if they stand in it (type STATIC).
///
/// What would protect, encrypt or steer traffic and is not understood is refused (subsets, hashing,
/// tunnels). What only tunes it is not looked at: circuit breakers, outlier detection, health checks, DNS settings,
/// statistics.
pub fn cluster(name: &str, any: &Any) -> Decoded<(Cluster, Option<EndpointSet>)> {
    let wire: WireCluster = named(any, name, |cluster: &WireCluster| &cluster.name)?;
    refuse_extras(&wire)?;
    let (kind, endpoints) = kind(&wire)?;
    let connect_timeout = match &wire.connect_timeout {
        Some(timeout) => duration(timeout).at("connect_timeout")?,
        None => DEFAULT_CONNECT_TIMEOUT,
    };
    if connect_timeout.is_zero() {
        return refuse("must not be 0").at("connect_timeout");
    }
    let cluster = Cluster {
        name: name.into(),
        kind,
        http: upstream_http(&wire).at("typed_extension_protocol_options")?,
        connect_timeout,
        tls: tls(&wire).at("transport_socket")?,
    };
    Ok((cluster, endpoints))
}

fn tls(wire: &WireCluster) -> Decoded<ClusterTls> {
    let told = wire.transport_socket.as_ref().map(super::tls::client);
    let told = told.transpose()?.flatten();
    Ok(told.map_or(ClusterTls::None, |told| ClusterTls::Told(Arc::new(told))))
}

fn refuse_extras(wire: &WireCluster) -> Decoded<()> {
    unsupported(
        !wire.transport_socket_matches.is_empty(),
        "transport_socket_matches",
    )?;
    unsupported(
        wire.transport_socket_matcher.is_some(),
        "transport_socket_matcher",
    )?;
    unsupported(wire.lb_subset_config.is_some(), "lb_subset_config")?;
    unsupported(!wire.filters.is_empty(), "filters")?;
    unsupported(wire.upstream_bind_config.is_some(), "upstream_bind_config")?;
    if let Some(policy) = &wire.load_balancing_policy {
        let known = ["least_request", "round_robin", "random", "cluster_provided"];
        let names = policy
            .policies
            .iter()
            .filter_map(|p| p.typed_extension_config.as_ref());
        if !names
            .into_iter()
            .any(|p| known.iter().any(|k| p.name.ends_with(k)))
        {
            return refuse("none of the policies is understood").at("load_balancing_policy");
        }
        return Ok(());
    }
    match LbPolicy::try_from(wire.lb_policy) {
        Ok(
            LbPolicy::LeastRequest
            | LbPolicy::RoundRobin
            | LbPolicy::Random
            | LbPolicy::ClusterProvided,
        ) => Ok(()),
        _ => refuse("not understood by this proxy").at("lb_policy"),
    }
}

fn kind(wire: &WireCluster) -> Decoded<(ClusterKind, Option<EndpointSet>)> {
    let discovery = match &wire.cluster_discovery_type {
        Some(ClusterDiscoveryType::Type(value)) => DiscoveryType::try_from(*value).ok(),
        Some(ClusterDiscoveryType::ClusterType(_)) => {
            return refuse("not understood by this proxy").at("cluster_type");
        }
        None => Some(DiscoveryType::Static),
    };
    match discovery {
        Some(DiscoveryType::Eds) => {
            let service = wire
                .eds_cluster_config
                .as_ref()
                .map(|eds| eds.service_name.as_str());
            let service = service
                .filter(|name| !name.is_empty())
                .unwrap_or(&wire.name);
            Ok((ClusterKind::Eds(service.into()), None))
        }
        Some(DiscoveryType::OriginalDst) => Ok((ClusterKind::OriginalDestination, None)),
        Some(DiscoveryType::LogicalDns | DiscoveryType::StrictDns) => {
            Ok((ClusterKind::Alias(alias(wire).at("load_assignment")?), None))
        }
        Some(DiscoveryType::Static) => {
            let Some(assignment) = &wire.load_assignment else {
                return refuse("missing").at("load_assignment");
            };
            let set = endpoint_set(assignment).at("load_assignment")?;
            Ok((ClusterKind::Eds(inline_name(&wire.name).into()), Some(set)))
        }
        None => refuse("unknown").at("type"),
    }
}

/// Under which name the endpoints that stand in a cluster are kept.
pub(crate) fn inline_name(cluster: &str) -> String {
    format!("cluster {cluster:?}")
}

fn alias(wire: &WireCluster) -> Decoded<Arc<str>> {
    let localities = wire
        .load_assignment
        .iter()
        .flat_map(|assignment| &assignment.endpoints);
    let endpoints: Vec<&LbEndpoint> = localities.flat_map(|l| &l.lb_endpoints).collect();
    let [only] = endpoints.as_slice() else {
        return refuse("must have exactly one endpoint");
    };
    let (host, _) = host_and_port(endpoint_of(only)?.address.as_ref()).at("address")?;
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty() || host.len() > 253 {
        return refuse(format_args!("{host:?} is no DNS name")).at("address");
    }
    Ok(host.into())
}

fn upstream_http(wire: &WireCluster) -> Decoded<UpstreamHttp> {
    let Some(any) = wire
        .typed_extension_protocol_options
        .get(&HttpProtocolOptions::full_name())
    else {
        // The older way to say it.
        let http2 = wire.http2_protocol_options.is_some();
        return Ok(if http2 {
            UpstreamHttp::Http2
        } else {
            UpstreamHttp::Http1
        });
    };
    let options: HttpProtocolOptions = unpack(any)?;
    unsupported(!options.http_filters.is_empty(), "http_filters")?;
    match &options.upstream_protocol_options {
        Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(_)) => Ok(UpstreamHttp::AsClient),
        Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => match &explicit
            .protocol_config
        {
            Some(ProtocolConfig::HttpProtocolOptions(_)) => Ok(UpstreamHttp::Http1),
            Some(ProtocolConfig::Http2ProtocolOptions(_)) => Ok(UpstreamHttp::Http2),
            Some(ProtocolConfig::Http3ProtocolOptions(_)) => refuse("not understood by this proxy")
                .at("explicit_http_config.http3_protocol_options"),
            None => refuse("missing").at("explicit_http_config.protocol_config"),
        },
        // Negotiated by ALPN, which plain text does not have: HTTP/1.1 is what is left.
        Some(UpstreamProtocolOptions::AutoConfig(_)) => Ok(UpstreamHttp::Http1),
        None => refuse("missing").at("upstream_protocol_options"),
    }
}

/// Decodes a ClusterLoadAssignment.
pub fn load_assignment(name: &str, any: &Any) -> Decoded<EndpointSet> {
    let wire: ClusterLoadAssignment = named(any, name, |assignment: &ClusterLoadAssignment| {
        &assignment.cluster_name
    })?;
    endpoint_set(&wire)
}

fn endpoint_set(wire: &ClusterLoadAssignment) -> Decoded<EndpointSet> {
    let drops = wire
        .policy
        .as_ref()
        .is_some_and(|policy| !policy.drop_overloads.is_empty());
    unsupported(drops, "policy.drop_overloads")?;
    let mut seen = BTreeSet::new();
    let mut endpoints = Vec::new();
    for (index, locality) in wire.endpoints.iter().enumerate() {
        let decode = || {
            unsupported(locality.priority != 0, "priority")?;
            unsupported(locality.lb_config.is_some(), "lb_config")?;
            super::error::each("lb_endpoints", &locality.lb_endpoints, endpoint)
        };
        let found = decode().at_index("endpoints", index)?;
        // An address that is sent twice would get twice its share.
        endpoints.extend(
            found
                .into_iter()
                .flatten()
                .filter(|e| seen.insert(e.address)),
        );
    }
    Ok(EndpointSet { endpoints })
}

/// `None`: it is told to be unhealthy.
fn endpoint(wire: &LbEndpoint) -> Decoded<Option<Endpoint>> {
    let health = match HealthStatus::try_from(wire.health_status) {
        Ok(HealthStatus::Unknown | HealthStatus::Healthy) => EndpointHealth::Healthy,
        Ok(HealthStatus::Draining | HealthStatus::Degraded) => EndpointHealth::Draining,
        Ok(HealthStatus::Unhealthy | HealthStatus::Timeout) => return Ok(None),
        Err(_) => return refuse("unknown").at("health_status"),
    };
    let weight = wire
        .load_balancing_weight
        .as_ref()
        .map_or(1, |weight| weight.value);
    if weight == 0 {
        return refuse("must not be 0").at("load_balancing_weight");
    }
    let endpoint = endpoint_of(wire)?;
    Ok(Some(Endpoint {
        address: socket_address(endpoint.address.as_ref()).at("endpoint.address")?,
        health,
        hostname: super::values::non_empty(&endpoint.hostname),
        weight,
    }))
}

fn endpoint_of(wire: &LbEndpoint) -> Decoded<&WireEndpoint> {
    match &wire.host_identifier {
        Some(HostIdentifier::Endpoint(endpoint)) => Ok(endpoint),
        Some(HostIdentifier::EndpointName(_)) => {
            refuse("not understood by this proxy").at("endpoint_name")
        }
        None => refuse("missing").at("endpoint"),
    }
}
