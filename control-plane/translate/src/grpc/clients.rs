//! Listener and Cluster of a target (gRFC A27).

use std::{collections::BTreeSet, num::NonZeroU32, sync::Arc};

use heddle_model::{ClientSettings, OutlierDetection as Outliers, SpiffeId};
use heddle_proto::{
    envoy::config::{
        cluster::v3::{
            CircuitBreakers, Cluster, OutlierDetection,
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
    wire::{ads, duration, number},
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
    /// What the Service asks of its clients.
    pub(crate) settings: ClientSettings,
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
            lb_policy: match self.settings.hash_header {
                Some(_) => LbPolicy::RingHash.into(),
                None => LbPolicy::RoundRobin.into(),
            },
            circuit_breakers: Some(at_most(self.settings.max_requests)),
            outlier_detection: self.settings.outliers.map(ejecting),
            transport_socket: expecting(&self.identities),
            ..Cluster::default()
        };
        let origin: Arc<str> = format!("Service {}", key.port.service).into();
        Resource::new(type_url::CLUSTER, name, Scope::Grpc, vec![origin], &message)
    }
}

/// Absent would mean at most 1024 requests at a time (gRFC A32), which nobody asked for.
fn at_most(requests: Option<NonZeroU32>) -> CircuitBreakers {
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_requests: number(requests.map_or(u32::MAX, NonZeroU32::get)),
            ..Thresholds::default()
        }],
        ..CircuitBreakers::default()
    }
}

/// By the share of failed calls alone (gRFC A50). gRPC's own bounds are for large Services: five endpoints, and fifty calls to one in an interval.
fn ejecting(outliers: Outliers) -> OutlierDetection {
    OutlierDetection {
        interval: duration(outliers.interval),
        failure_percentage_threshold: number(outliers.failure_percentage.into()),
        enforcing_failure_percentage: number(100),
        failure_percentage_minimum_hosts: number(2),
        failure_percentage_request_volume: number(5),
        // Half of them stay, whatever they answer: somebody has to.
        max_ejection_percent: number(50),
        enforcing_success_rate: number(0),
        ..OutlierDetection::default()
    }
}
