//! Listener: where traffic is taken over, and what is done with it first.

mod gateway;
mod outbound;
mod pod;

pub(crate) use gateway::GatewayListenerUnit;
pub(crate) use outbound::{OutboundListenerUnit, Reading};
pub(crate) use pod::{HBONE_PORT, PodListenerUnit};

use std::{collections::HashMap, net::IpAddr};

use heddle_model::PortNumber;
use heddle_proto::{
    envoy::config::{
        core::v3::{Metadata, TrafficDirection},
        listener::v3::{AdditionalAddress, Listener},
    },
    heddle::v1::{ListenerScope, listener_scope::Kind},
    names, pack,
};

use crate::wire::{boolean, tcp_address};

/// A listener that takes over connections to addresses which are not the proxy's own: it is chosen by the address that
/// the client wanted, and binds nothing.
fn captured(
    name: &str,
    addresses: &[IpAddr],
    port: PortNumber,
    direction: TrafficDirection,
    scope: Kind,
) -> Listener {
    let mut addresses = addresses.iter().map(|ip| tcp_address(*ip, port));
    Listener {
        name: name.to_owned(),
        address: addresses.next(),
        additional_addresses: addresses
            .map(|address| AdditionalAddress {
                address: Some(address),
                ..AdditionalAddress::default()
            })
            .collect(),
        traffic_direction: direction.into(),
        bind_to_port: boolean(false),
        metadata: Some(scope_metadata(scope)),
        ..Listener::default()
    }
}

/// What the listener is for, in Heddle's words.
fn scope_metadata(kind: Kind) -> Metadata {
    let scope = ListenerScope { kind: Some(kind) };
    Metadata {
        typed_filter_metadata: HashMap::from([(names::LISTENER_SCOPE.to_owned(), pack(&scope))]),
        ..Metadata::default()
    }
}
