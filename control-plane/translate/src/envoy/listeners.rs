//! Where an Envoy takes traffic in.

use std::net::{IpAddr, Ipv4Addr};

use heddle_model::{GatewayListenerKey, PortNumber};
use heddle_proto::{
    envoy::config::{
        core::v3::TrafficDirection,
        listener::v3::{FilterChain, Listener},
    },
    names, type_url,
};
use heddle_snapshot::{Resource, Scope};

use crate::{
    filters::{Position, envoy_http},
    memo::Unit,
    wire::tcp_address,
};

/// Where an outbound proxy listens: for the programs beside it only.
const OUTBOUND_PORT: PortNumber = match PortNumber::new(15001) {
    Some(port) => port,
    None => unreachable!(),
};

/// A listener of a Gateway.
#[derive(Debug, PartialEq)]
pub(super) struct GatewayListenerUnit {
    /// Where clients connect.
    pub(super) port: PortNumber,
}

impl Unit for GatewayListenerUnit {
    type Key = GatewayListenerKey;

    fn build(&self, key: &GatewayListenerKey) -> Resource {
        let name = key.to_string();
        let message = listener(
            &name,
            Ipv4Addr::UNSPECIFIED.into(),
            self.port,
            TrafficDirection::Inbound,
            Position::Edge,
        );
        Resource::new(
            type_url::LISTENER,
            name,
            Scope::Gateway(key.gateway.to_string().into()),
            vec![format!("Gateway {}", key.gateway).into()],
            &message,
        )
    }
}

/// The one listener of an outbound HTTP proxy.
#[derive(Debug, PartialEq)]
pub(super) struct OutboundListenerUnit;

impl Unit for OutboundListenerUnit {
    type Key = ();

    fn build(&self, (): &()) -> Resource {
        let message = listener(
            names::OUTBOUND_HTTP,
            Ipv4Addr::LOCALHOST.into(),
            OUTBOUND_PORT,
            TrafficDirection::Outbound,
            Position::Inside,
        );
        Resource::new(
            type_url::LISTENER,
            names::OUTBOUND_HTTP,
            Scope::Clients,
            Vec::new(),
            &message,
        )
    }
}

fn listener(
    name: &str,
    address: IpAddr,
    port: PortNumber,
    direction: TrafficDirection,
    position: Position,
) -> Listener {
    Listener {
        name: name.to_owned(),
        address: Some(tcp_address(address, port)),
        filter_chains: vec![FilterChain {
            name: "http".to_owned(),
            filters: vec![envoy_http(name, position)],
            ..FilterChain::default()
        }],
        traffic_direction: direction.into(),
        ..Listener::default()
    }
}
