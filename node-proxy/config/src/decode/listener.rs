//! Listener: what kind it is, and what all kinds have in common.

use std::{net::SocketAddr, sync::Arc};

use heddle_identity::{Namespace, TrustDomain};
use heddle_proto::{
    envoy::{
        config::{
            core::v3::TrafficDirection,
            listener::v3::{FilterChain, FilterChainMatch, Listener as WireListener},
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
        },
    },
    google::protobuf::{Any, BoolValue},
    heddle::v1::{ListenerScope, listener_scope::Kind},
    names, unpack,
};
use heddle_routing::{RouteTable, WeightedClusters};

use super::{
    error::{At, DecodeError, Decoded, each, refuse, unsupported},
    filters::{self, Terminal},
    pod,
    route_configuration::route_table,
    tls,
    values::{named, socket_address},
};
use crate::{BoundListener, BoundProtocol, OutboundListener, OutboundProtocol, PodConfig};

/// A listener of any kind.
#[derive(Clone, Debug)]
pub enum Listener {
    /// For what pods send; with its route table if that stands in the listener itself.
    Outbound(Arc<OutboundListener>, Option<Arc<RouteTable>>),
    /// For what a pod receives.
    Pod(Arc<PodConfig>),
    /// On the node's own addresses; with its route table if that stands in the listener itself.
    Bound(Arc<BoundListener>, Option<Arc<RouteTable>>),
}

/// Decodes a Listener. Its kind is told by `ListenerScope` in its metadata. Without that, direction OUTBOUND means a
/// listener for what the pods of all namespaces send, and any other one that is bound as any Envoy would bind it.
pub fn listener(name: &str, any: &Any, trust_domain: &TrustDomain) -> Decoded<Listener> {
    let wire: WireListener = named(any, name, |listener: &WireListener| &listener.name)?;
    unsupported(wire.filter_chain_matcher.is_some(), "filter_chain_matcher")?;
    unsupported(wire.fcds_config.is_some(), "fcds_config")?;
    unsupported(wire.listener_specifier.is_some(), "listener_specifier")?;
    unsupported(wire.api_listener.is_some(), "api_listener")?;
    unsupported(wire.udp_listener_config.is_some(), "udp_listener_config")?;
    let direction = TrafficDirection::try_from(wire.traffic_direction);
    let kind = scope(&wire).at("metadata")?;
    let is_pod = matches!(kind, Some(Kind::Pod(_)));
    if name.starts_with("pod/") && !is_pod {
        return refuse("a listener of this name must be a pod's").at("metadata");
    }
    match (kind, direction) {
        (Some(Kind::Pod(pod)), Ok(TrafficDirection::Inbound)) => Ok(Listener::Pod(Arc::new(
            pod::pod(&wire, &pod, trust_domain)?,
        ))),
        (Some(Kind::Outbound(scope)), Ok(TrafficDirection::Outbound)) => {
            let namespace = match scope.client_namespace.as_str() {
                "" => None,
                namespace => {
                    Some(Namespace::new(namespace).at("metadata.outbound.client_namespace")?)
                }
            };
            outbound(&wire, namespace)
        }
        (None, Ok(TrafficDirection::Outbound)) => outbound(&wire, None),
        (Some(Kind::Gateway(_)), Ok(TrafficDirection::Unspecified)) => gateway(&wire),
        (None, Ok(TrafficDirection::Unspecified | TrafficDirection::Inbound)) => {
            bound(&wire, false)
        }
        (None, Err(_)) => refuse("unknown").at("traffic_direction"),
        (Some(_), _) => refuse("contradicts the listener's scope").at("traffic_direction"),
    }
}

fn scope(wire: &WireListener) -> Decoded<Option<Kind>> {
    let metadata = wire.metadata.as_ref();
    let Some(any) = metadata.and_then(|m| m.typed_filter_metadata.get(names::LISTENER_SCOPE))
    else {
        return Ok(None);
    };
    let scope: ListenerScope = unpack(any)?;
    match scope.kind {
        Some(kind) => Ok(Some(kind)),
        None => refuse("of an unknown kind").at(names::LISTENER_SCOPE),
    }
}

/// All addresses of a listener.
pub(super) fn addresses(wire: &WireListener) -> Decoded<Vec<SocketAddr>> {
    let first = socket_address(wire.address.as_ref()).at("address")?;
    let further = each("additional_addresses", &wire.additional_addresses, |more| {
        socket_address(more.address.as_ref()).at("address")
    })?;
    Ok(std::iter::once(first).chain(further).collect())
}

/// Refuses conditions of a chain that are not understood: dropping one would use the chain for more than was meant.
pub(super) fn refuse_other_conditions(conditions: &FilterChainMatch) -> Decoded<()> {
    unsupported(!conditions.prefix_ranges.is_empty(), "prefix_ranges")?;
    unsupported(!conditions.address_suffix.is_empty(), "address_suffix")?;
    unsupported(conditions.suffix_len.is_some(), "suffix_len")?;
    unsupported(
        !conditions.direct_source_prefix_ranges.is_empty(),
        "direct_source_prefix_ranges",
    )?;
    unsupported(conditions.source_type != 0, "source_type")?;
    unsupported(
        !conditions.source_prefix_ranges.is_empty(),
        "source_prefix_ranges",
    )?;
    unsupported(!conditions.source_ports.is_empty(), "source_ports")?;
    unsupported(!conditions.server_names.is_empty(), "server_names")
}

/// What a chain of an outbound or a Gateway listener leads to.
enum Leads {
    ToRoutes(Arc<str>, Option<Arc<RouteTable>>),
    ToClusters(WeightedClusters),
}

fn leads(listener: &str, chain: &FilterChain) -> Decoded<Leads> {
    let filters = filters::chain(chain)?;
    if filters.network_policy.is_some() || filters.authorization.is_some() {
        return refuse("RBAC is only understood in a pod's listener").at("filters");
    }
    match filters.terminal {
        Terminal::Tcp(clusters) => Ok(Leads::ToClusters(clusters)),
        Terminal::Http(manager) => {
            let (routes, table) = routes(listener, &manager).at("filters")?;
            Ok(Leads::ToRoutes(routes, table))
        }
    }
}

fn in_plain_text(listener: &str, chain: &FilterChain) -> Decoded<Leads> {
    unsupported(chain.transport_socket.is_some(), "transport_socket")?;
    leads(listener, chain)
}

/// The name of the route table, and the table itself if it stands in the listener. Such a table is kept under a name that
/// no RouteConfiguration of its own can have.
fn routes(
    listener: &str,
    manager: &HttpConnectionManager,
) -> Decoded<(Arc<str>, Option<Arc<RouteTable>>)> {
    match &manager.route_specifier {
        Some(RouteSpecifier::Rds(rds)) if !rds.route_config_name.is_empty() => {
            Ok((rds.route_config_name.as_str().into(), None))
        }
        Some(RouteSpecifier::RouteConfig(config)) => {
            let name: Arc<str> = inline_name(listener).into();
            let table = route_table(Arc::clone(&name), config).at("route_config")?;
            Ok((name, Some(Arc::new(table))))
        }
        Some(RouteSpecifier::Rds(_)) => refuse("missing").at("rds.route_config_name"),
        Some(RouteSpecifier::ScopedRoutes(_)) => {
            refuse("not understood by this proxy").at("scoped_routes")
        }
        None => refuse("missing").at("route_specifier"),
    }
}

/// An address that is another listener's.
pub(crate) fn taken(by: &str) -> DecodeError {
    DecodeError::new(format_args!("is the listener {by:?}'s already")).within("address")
}

/// Under which name a table that stands in a listener is kept.
pub(crate) fn inline_name(listener: &str) -> String {
    format!("listener {listener:?}")
}

fn outbound(wire: &WireListener, client_namespace: Option<Namespace>) -> Decoded<Listener> {
    const KNOWN: [&str; 3] = [
        "envoy.filters.listener.http_inspector",
        "envoy.filters.listener.original_dst",
        "envoy.filters.listener.tls_inspector",
    ];
    each("listener_filters", &wire.listener_filters, |filter| {
        if KNOWN.contains(&filter.name.as_str()) {
            return Ok(());
        }
        refuse(format_args!("unknown listener filter {:?}", filter.name))
    })?;
    let (protocol, table) = outbound_protocol(wire)?;
    let listener = OutboundListener {
        name: wire.name.as_str().into(),
        client_namespace,
        addresses: addresses(wire)?,
        protocol,
    };
    Ok(Listener::Outbound(Arc::new(listener), table))
}

fn outbound_protocol(wire: &WireListener) -> Decoded<(OutboundProtocol, Option<Arc<RouteTable>>)> {
    let default = wire
        .default_filter_chain
        .as_ref()
        .map(|chain| in_plain_text(&wire.name, chain).at("default_filter_chain"))
        .transpose()?;
    let mut for_http = None;
    let mut for_all = default;
    for (index, chain) in wire.filter_chains.iter().enumerate() {
        let detected = detects_http(chain).at_index("filter_chains", index)?;
        let leads = in_plain_text(&wire.name, chain).at_index("filter_chains", index)?;
        let place = if detected {
            &mut for_http
        } else {
            &mut for_all
        };
        if place.replace(leads).is_some() {
            return refuse("a second chain for the same connections")
                .at_index("filter_chains", index);
        }
    }
    match (for_http, for_all) {
        (None, Some(Leads::ToRoutes(routes, table))) => {
            Ok((OutboundProtocol::Http { routes }, table))
        }
        (None, Some(Leads::ToClusters(clusters))) => {
            let cluster = filters::only(&clusters).at("filter_chains")?;
            Ok((OutboundProtocol::Opaque { cluster }, None))
        }
        (Some(Leads::ToRoutes(routes, table)), Some(Leads::ToClusters(clusters))) => {
            let cluster = filters::only(&clusters).at("filter_chains")?;
            Ok((OutboundProtocol::Detect { routes, cluster }, table))
        }
        (None, None) => refuse("must not be empty").at("filter_chains"),
        (Some(_), _) => refuse(
            "detection needs an http_connection_manager for HTTP and a tcp_proxy for the rest",
        )
        .at("filter_chains"),
    }
}

fn detects_http(chain: &FilterChain) -> Decoded<bool> {
    let Some(conditions) = &chain.filter_chain_match else {
        return Ok(false);
    };
    refuse_other_conditions(conditions).at("filter_chain_match")?;
    unsupported(
        conditions.destination_port.is_some(),
        "filter_chain_match.destination_port",
    )?;
    let plain = matches!(conditions.transport_protocol.as_str(), "" | "raw_buffer");
    unsupported(!plain, "filter_chain_match.transport_protocol")?;
    let protocols = &conditions.application_protocols;
    let http = |name: &String| matches!(name.as_str(), "http/1.0" | "http/1.1" | "h2c");
    if !protocols.iter().all(http) {
        return refuse(format_args!(
            "{protocols:?} is not understood by this proxy"
        ))
        .at("filter_chain_match.application_protocols");
    }
    Ok(!protocols.is_empty())
}

fn gateway(wire: &WireListener) -> Decoded<Listener> {
    let listener = bound(wire, true)?;
    match &listener {
        Listener::Bound(bound, _) if bound.tls.is_some() => {
            refuse("not understood by this proxy").at("filter_chains[0].transport_socket")
        }
        Listener::Bound(bound, _) if matches!(bound.protocol, BoundProtocol::Opaque { .. }) => {
            refuse("must end in an http_connection_manager").at("filter_chains[0].filters")
        }
        _ => Ok(listener),
    }
}

fn bound(wire: &WireListener, is_gateways: bool) -> Decoded<Listener> {
    refuse_other_binding(wire)?;
    let [chain] = wire.filter_chains.as_slice() else {
        return refuse("must be exactly one").at("filter_chains");
    };
    unsupported(
        chain.filter_chain_match.is_some(),
        "filter_chains[0].filter_chain_match",
    )?;
    let socket = chain.transport_socket.as_ref();
    let tls = socket.map(tls::server).transpose();
    let tls = tls.at("filter_chains[0].transport_socket")?;
    let (protocol, table) = match leads(&wire.name, chain).at_index("filter_chains", 0)? {
        Leads::ToRoutes(routes, table) => (BoundProtocol::Http { routes }, table),
        Leads::ToClusters(clusters) => {
            let clusters = Arc::new(clusters);
            (BoundProtocol::Opaque { clusters }, None)
        }
    };
    let listener = BoundListener {
        name: wire.name.as_str().into(),
        address: socket_address(wire.address.as_ref()).at("address")?,
        protocol,
        tls: tls.flatten().map(Arc::new),
        is_gateways,
    };
    Ok(Listener::Bound(Arc::new(listener), table))
}

/// Refuses what would make connections arrive otherwise than at the one address, or with other bytes than the client's.
fn refuse_other_binding(wire: &WireListener) -> Decoded<()> {
    const HARMLESS: [&str; 2] = [
        "envoy.filters.listener.http_inspector",
        "envoy.filters.listener.tls_inspector",
    ];
    let is = |value: &Option<BoolValue>| value.as_ref().is_some_and(|value| value.value);
    if wire.bind_to_port.as_ref().is_some_and(|bind| !bind.value) {
        let text = format!("false is only understood with {}", names::LISTENER_SCOPE);
        return refuse(text).at("bind_to_port");
    }
    unsupported(is(&wire.use_original_dst), "use_original_dst")?;
    unsupported(is(&wire.transparent), "transparent")?;
    unsupported(wire.default_filter_chain.is_some(), "default_filter_chain")?;
    unsupported(
        !wire.additional_addresses.is_empty(),
        "additional_addresses",
    )?;
    each("listener_filters", &wire.listener_filters, |filter| {
        if HARMLESS.contains(&filter.name.as_str()) {
            return Ok(());
        }
        refuse(format_args!("unknown listener filter {:?}", filter.name))
    })?;
    Ok(())
}
