//! Gateway listener: traffic from outside, on the nodes' own addresses.

use std::net::Ipv4Addr;

use heddle_model::{GatewayListenerKey, PortNumber};
use heddle_proto::{
    envoy::config::{
        core::v3::TrafficDirection,
        listener::v3::{FilterChain, Listener},
    },
    heddle::v1::listener_scope::{Gateway, Kind},
    type_url,
};
use heddle_snapshot::{Resource, Scope};

use super::scope_metadata;
use crate::{filters::routed_http, memo::Unit, wire::tcp_address};

/// A listener of a Gateway. Its routes are another resource: they change without it.
#[derive(Debug, PartialEq)]
pub(crate) struct GatewayListenerUnit {
    /// Where clients connect.
    pub(crate) port: PortNumber,
}

impl Unit for GatewayListenerUnit {
    type Key = GatewayListenerKey;

    fn build(&self, key: &GatewayListenerKey) -> Resource {
        let name = key.to_string();
        let scope = Gateway {
            namespace: key.gateway.namespace.to_string(),
            name: key.gateway.name.to_string(),
            section: key.section.to_string(),
        };
        let message = Listener {
            name: name.clone(),
            address: Some(tcp_address(Ipv4Addr::UNSPECIFIED.into(), self.port)),
            filter_chains: vec![FilterChain {
                name: "http".to_owned(),
                filters: vec![routed_http(&name)],
                ..FilterChain::default()
            }],
            traffic_direction: TrafficDirection::Unspecified.into(),
            metadata: Some(scope_metadata(Kind::Gateway(scope))),
            ..Listener::default()
        };
        let origin = format!("Gateway {}", key.gateway);
        Resource::new(
            type_url::LISTENER,
            name,
            Scope::Nodes,
            vec![origin.into()],
            &message,
        )
    }
}
