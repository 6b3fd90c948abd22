//! ClusterLoadAssignment of a Service port: each endpoint says how it is reached.

use std::{collections::HashMap, sync::Arc};

use heddle_model::{Endpoint, Endpoints, ServicePortKey, SpiffeId};
use heddle_proto::{
    envoy::config::core::v3::{
        Address, EnvoyInternalAddress, Metadata, address,
        envoy_internal_address::AddressNameSpecifier,
    },
    google::protobuf::{Struct, Value, value::Kind},
};
use heddle_snapshot::{Resource, Scope};

use super::{hbone, identities::Identities};
use crate::{endpoints::assignment, memo::Unit, wire::tcp_address};

/// Where Envoy looks for an endpoint's conditions on the transport socket.
const TRANSPORT_SOCKET_MATCH: &str = "envoy.transport_socket_match";

/// Where the listener filter of this name looks for the true destination of an internal connection.
pub(super) const ORIGINAL_DESTINATION: &str = "envoy.filters.listener.original_dst";

/// Marks an endpoint outside the mesh, and is the condition of the socket for it.
pub(super) fn plain_text() -> Struct {
    one_field("transport", "plain")
}

/// The endpoints of one Service port, each with its identity if it is in the mesh.
#[derive(Debug, PartialEq)]
pub(super) struct EndpointsUnit {
    known: Option<Arc<Endpoints>>,
    identities: Vec<Option<SpiffeId>>,
}

impl EndpointsUnit {
    /// Asks who is at each address.
    pub(super) fn new(known: Option<Arc<Endpoints>>, identities: &Identities) -> Self {
        let endpoints = known.iter().flat_map(|known| &known.endpoints);
        let identities = endpoints
            .map(|endpoint| identities.at(endpoint.address).cloned())
            .collect();
        Self { known, identities }
    }
}

impl Unit for EndpointsUnit {
    type Key = ServicePortKey;

    fn build(&self, key: &ServicePortKey) -> Resource {
        let endpoints = self.known.iter().flat_map(|known| &known.endpoints);
        let reached = endpoints
            .zip(&self.identities)
            .map(|(endpoint, identity)| match identity {
                None => (endpoint, plain(endpoint)),
                Some(identity) => (endpoint, through_tunnel(endpoint, identity)),
            })
            .map(|(endpoint, (address, metadata))| (endpoint, address, Some(metadata)));
        assignment(key, Scope::Envoys, reached)
    }
}

fn plain(endpoint: &Endpoint) -> (Address, Metadata) {
    let address = tcp_address(endpoint.address, endpoint.port);
    (address, metadata(TRANSPORT_SOCKET_MATCH, plain_text()))
}

fn through_tunnel(endpoint: &Endpoint, identity: &SpiffeId) -> (Address, Metadata) {
    let destination = std::net::SocketAddr::new(endpoint.address, endpoint.port.get()).to_string();
    let internal = EnvoyInternalAddress {
        endpoint_id: destination.clone(),
        address_name_specifier: Some(AddressNameSpecifier::ServerListenerName(hbone::name(
            identity,
        ))),
    };
    let address = Address {
        address: Some(address::Address::EnvoyInternalAddress(internal)),
    };
    let metadata = metadata(ORIGINAL_DESTINATION, one_field("local", &destination));
    (address, metadata)
}

/// One entry only: with two, equal content could become different bytes (a map has no order).
fn metadata(key: &str, fields: Struct) -> Metadata {
    Metadata {
        filter_metadata: HashMap::from([(key.to_owned(), fields)]),
        ..Metadata::default()
    }
}

fn one_field(key: &str, value: &str) -> Struct {
    let value = Value {
        kind: Some(Kind::StringValue(value.to_owned())),
    };
    Struct {
        fields: HashMap::from([(key.to_owned(), value)]),
    }
}
