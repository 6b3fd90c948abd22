//! Listener and Cluster of a target (gRFC A27).

use std::{collections::BTreeSet, sync::Arc};

use heddle_model::SpiffeId;
use heddle_proto::{
    envoy::config::{
        cluster::v3::{
            CircuitBreakers, Cluster,
            circuit_breakers::Thresholds,
            cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy},
        },
        listener::v3::{ApiListener, Listener},
    },
    type_url,
};
use heddle_snapshot::{Resource, Scope};

use super::{Target, security::expecting};
use crate::{
    filters::routed_api,
    memo::Unit,
    wire::{ads, number},
};

/// The listener of a target: which routes are its own.
#[derive(Debug, PartialEq)]
pub(crate) struct GrpcListenerUnit;

impl Unit for GrpcListenerUnit {
    type Key = Target;

    fn build(&self, key: &Target) -> Resource {
        let name = key.to_string();
        let message = Listener {
            name: name.clone(),
            api_listener: Some(ApiListener {
                api_listener: Some(routed_api(&name)),
            }),
            ..Listener::default()
        };
        let origin: Arc<str> = format!("Service {}", key.port.service).into();
        Resource::new(
            type_url::LISTENER,
            name,
            Scope::Grpc,
            vec![origin],
            &message,
        )
    }
}

/// The cluster of a target: how its endpoints are reached.
#[derive(Debug, PartialEq)]
pub(crate) struct GrpcClusterUnit {
    /// Who answers there in mutual TLS; empty: they speak plain text. If only some do, the others are not reached: gRPC knows one way for a cluster, and
    /// plain text to those who expect TLS would be no better.
    pub(crate) identities: BTreeSet<SpiffeId>,
}

impl Unit for GrpcClusterUnit {
    type Key = Target;

    fn build(&self, key: &Target) -> Resource {
        let name = key.to_string();
        let message = Cluster {
            name: name.clone(),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
            eds_cluster_config: Some(EdsClusterConfig {
                eds_config: ads(),
                service_name: key.port.to_string(),
            }),
            // gRPC C++ refuses LEAST_REQUEST (gRFC A48 is Java's and Go's).
            lb_policy: LbPolicy::RoundRobin.into(),
            circuit_breakers: Some(no_limit()),
            transport_socket: expecting(&self.identities),
            ..Cluster::default()
        };
        let origin: Arc<str> = format!("Service {}", key.port.service).into();
        Resource::new(type_url::CLUSTER, name, Scope::Grpc, vec![origin], &message)
    }
}

/// Absent would mean at most 1024 requests at a time (gRFC A32), which nobody asked for.
fn no_limit() -> CircuitBreakers {
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_requests: number(u32::MAX),
            ..Thresholds::default()
        }],
        ..CircuitBreakers::default()
    }
}
