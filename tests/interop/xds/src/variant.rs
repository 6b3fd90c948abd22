//! The four ways to speak xDS.

use heddle_proto::type_url::{
    CLUSTER, CLUSTER_LOAD_ASSIGNMENT, LISTENER, ROUTE_CONFIGURATION, SECRET,
};
use heddle_snapshot::TypeUrl;

/// What a response tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// State of the world.
    World,
    /// Increments.
    Delta,
}

/// What goes over one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// All types (ADS).
    Aggregated,
    /// One type; a client opens several.
    PerType,
}

/// One of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variant {
    /// What a response tells.
    pub protocol: Protocol,
    /// What goes over one stream.
    pub streams: Streams,
}

/// State of the world, aggregated: gRPC's only one.
pub const WORLD_ADS: Variant = Variant {
    protocol: Protocol::World,
    streams: Streams::Aggregated,
};
/// State of the world, a stream for each type.
pub const WORLD_PER_TYPE: Variant = Variant {
    protocol: Protocol::World,
    streams: Streams::PerType,
};
/// Delta, aggregated.
pub const DELTA_ADS: Variant = Variant {
    protocol: Protocol::Delta,
    streams: Streams::Aggregated,
};
/// Delta, a stream for each type.
pub const DELTA_PER_TYPE: Variant = Variant {
    protocol: Protocol::Delta,
    streams: Streams::PerType,
};

impl Variant {
    /// As in the names of tests.
    pub fn name(self) -> &'static str {
        match (self.protocol, self.streams) {
            (Protocol::World, Streams::Aggregated) => "world_ads",
            (Protocol::World, Streams::PerType) => "world_per_type",
            (Protocol::Delta, Streams::Aggregated) => "delta_ads",
            (Protocol::Delta, Streams::PerType) => "delta_per_type",
        }
    }

    /// Speaks delta.
    pub fn is_delta(self) -> bool {
        self.protocol == Protocol::Delta
    }

    /// Has one stream for all types.
    pub fn is_aggregated(self) -> bool {
        self.streams == Streams::Aggregated
    }

    /// Path of the gRPC method that serves a type.
    pub fn path(self, type_url: TypeUrl) -> &'static str {
        match (self.protocol, self.streams, type_url) {
            (Protocol::World, Streams::Aggregated, _) => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
            }
            (Protocol::Delta, Streams::Aggregated, _) => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            }
            (Protocol::World, _, LISTENER) => {
                "/envoy.service.listener.v3.ListenerDiscoveryService/StreamListeners"
            }
            (Protocol::Delta, _, LISTENER) => {
                "/envoy.service.listener.v3.ListenerDiscoveryService/DeltaListeners"
            }
            (Protocol::World, _, ROUTE_CONFIGURATION) => {
                "/envoy.service.route.v3.RouteDiscoveryService/StreamRoutes"
            }
            (Protocol::Delta, _, ROUTE_CONFIGURATION) => {
                "/envoy.service.route.v3.RouteDiscoveryService/DeltaRoutes"
            }
            (Protocol::World, _, CLUSTER) => {
                "/envoy.service.cluster.v3.ClusterDiscoveryService/StreamClusters"
            }
            (Protocol::Delta, _, CLUSTER) => {
                "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters"
            }
            (Protocol::World, _, CLUSTER_LOAD_ASSIGNMENT) => {
                "/envoy.service.endpoint.v3.EndpointDiscoveryService/StreamEndpoints"
            }
            (Protocol::Delta, _, CLUSTER_LOAD_ASSIGNMENT) => {
                "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints"
            }
            (Protocol::World, _, SECRET) => {
                "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"
            }
            (Protocol::Delta, _, SECRET) => {
                "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"
            }
            _ => panic!("there is no service for {type_url} alone"),
        }
    }
}
