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
    google::protobuf::Any,
    heddle::v1::{ListenerScope, listener_scope::Kind},
    names, unpack,
};
use heddle_routing::{ClusterName, RouteTable};

use super::{
    error::{At, Decoded, each, refuse, unsupported},
    filters::{self, Terminal},
    pod,
    route_configuration::route_table,
    values::{named, socket_address},
};
use crate::{GatewayListener, OutboundListener, OutboundProtocol, PodConfig};

/// A listener of any kind.
#[derive(Clone, Debug)]
pub enum Listener {
    /// For what pods send; with its route table if that stands in the listener itself.
    Outbound(Arc<OutboundListener>, Option<Arc<RouteTable>>),
    /// For what a pod receives.
    Pod(Arc<PodConfig>),
    /// For what comes from outside; with its route table if that stands in the listener itself.
    Gateway(Arc<GatewayListener>, Option<Arc<RouteTable>>),
}

/// Decodes a Listener. Its kind is told by `ListenerScope` in its metadata; without that, direction OUTBOUND means a
/// listener for what the pods of all namespaces send.
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
        (None, _) => refuse(format_args!("has no {}", names::LISTENER_SCOPE)).at("metadata"),
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
    ToCluster(ClusterName),
}

fn leads(listener: &str, chain: &FilterChain) -> Decoded<Leads> {
    unsupported(chain.transport_socket.is_some(), "transport_socket")?;
    let filters = filters::chain(chain)?;
    if filters.network_policy.is_some() || filters.authorization.is_some() {
        return refuse("RBAC is only understood in a pod's listener").at("filters");
    }
    match filters.terminal {
        Terminal::Tcp(cluster) => Ok(Leads::ToCluster(cluster)),
        Terminal::Http(manager) => {
            let (routes, table) = routes(listener, &manager).at("filters")?;
            Ok(Leads::ToRoutes(routes, table))
        }
    }
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
        .map(|chain| leads(&wire.name, chain).at("default_filter_chain"))
        .transpose()?;
    let mut for_http = None;
    let mut for_all = default;
    for (index, chain) in wire.filter_chains.iter().enumerate() {
        let detected = detects_http(chain).at_index("filter_chains", index)?;
        let leads = leads(&wire.name, chain).at_index("filter_chains", index)?;
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
        (None, Some(Leads::ToCluster(cluster))) => Ok((OutboundProtocol::Opaque { cluster }, None)),
        (Some(Leads::ToRoutes(routes, table)), Some(Leads::ToCluster(cluster))) => {
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
    unsupported(wire.default_filter_chain.is_some(), "default_filter_chain")?;
    unsupported(
        !wire.additional_addresses.is_empty(),
        "additional_addresses",
    )?;
    let [chain] = wire.filter_chains.as_slice() else {
        return refuse("must be exactly one").at("filter_chains");
    };
    unsupported(
        chain.filter_chain_match.is_some(),
        "filter_chains[0].filter_chain_match",
    )?;
    let Leads::ToRoutes(routes, table) = leads(&wire.name, chain).at_index("filter_chains", 0)?
    else {
        return refuse("must end in an http_connection_manager").at("filter_chains[0].filters");
    };
    let listener = GatewayListener {
        name: wire.name.as_str().into(),
        address: socket_address(wire.address.as_ref()).at("address")?,
        routes,
    };
    Ok(Listener::Gateway(Arc::new(listener), table))
}
