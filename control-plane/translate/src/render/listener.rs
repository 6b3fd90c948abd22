//! Listeners.

use heddle_proto::envoy::config::{
    core::v3::{Metadata, TrafficDirection, TransportSocket, transport_socket},
    listener::v3::{
        FilterChain, FilterChainMatch, Listener, filter, listener::ListenerSpecifier,
        listener_filter,
    },
};
use serde_json::{Value, json};

use super::{
    fields::{Fields, address, texts},
    filter::any,
    own,
};

pub(super) fn listener(listener: &Listener) -> Value {
    let direction = TrafficDirection::try_from(listener.traffic_direction)
        .map_or("?", |direction| direction.as_str_name());
    let further = listener
        .additional_addresses
        .iter()
        .map(|further| address(further.address.as_ref()));
    let listener_filters = listener.listener_filters.iter().map(|filter| {
        let config = match &filter.config_type {
            Some(listener_filter::ConfigType::TypedConfig(config)) => any(config),
            _ => Value::Null,
        };
        named(&filter.name, config)
    });
    let internal = match &listener.listener_specifier {
        Some(ListenerSpecifier::InternalListener(_)) => json!({}),
        None => Value::Null,
    };
    let bind = listener.bind_to_port.as_ref().map(|bind| bind.value);
    let shown = Fields::new()
        .text("name", &listener.name)
        .put("address", address(listener.address.as_ref()));
    let shown = match internal {
        Value::Null => shown,
        internal => shown.keep("internal_listener", internal),
    };
    shown
        .list("additional_addresses", further)
        .text("traffic_direction", direction)
        .put("bind_to_port", json!(bind))
        .put("metadata", metadata(listener.metadata.as_ref()))
        .list("listener_filters", listener_filters)
        .list("filter_chains", listener.filter_chains.iter().map(chain))
        .put(
            "default_filter_chain",
            listener
                .default_filter_chain
                .as_ref()
                .map_or(Value::Null, chain),
        )
        .value()
}

fn metadata(metadata: Option<&Metadata>) -> Value {
    let entries = metadata
        .into_iter()
        .flat_map(|metadata| &metadata.typed_filter_metadata);
    let shown = entries.map(|(key, scope)| (key.clone(), own::listener_scope(scope)));
    Value::Object(shown.collect())
}

fn chain(chain: &FilterChain) -> Value {
    let filters = chain.filters.iter().map(|filter| {
        let config = match &filter.config_type {
            Some(filter::ConfigType::TypedConfig(config)) => any(config),
            _ => Value::Null,
        };
        named(&filter.name, config)
    });
    let socket = socket(chain.transport_socket.as_ref());
    let matches = chain
        .filter_chain_match
        .as_ref()
        .map_or(Value::Null, chain_match);
    Fields::new()
        .text("name", &chain.name)
        .put("filter_chain_match", matches)
        .put("transport_socket", socket)
        .list("filters", filters)
        .value()
}

/// What carries the bytes.
pub(super) fn socket(socket: Option<&TransportSocket>) -> Value {
    socket.map_or(Value::Null, |socket| {
        let config = match &socket.config_type {
            Some(transport_socket::ConfigType::TypedConfig(config)) => any(config),
            None => Value::Null,
        };
        named(&socket.name, config)
    })
}

fn chain_match(matches: &FilterChainMatch) -> Value {
    let port = matches.destination_port.as_ref().map(|port| port.value);
    Fields::new()
        .put("destination_port", json!(port))
        .text("transport_protocol", &matches.transport_protocol)
        .list(
            "application_protocols",
            texts(&matches.application_protocols),
        )
        .value()
}

/// The name and then the configuration.
pub(super) fn named(name: &str, config: Value) -> Value {
    Fields::new()
        .text("name", name)
        .put("typed_config", config)
        .value()
}
