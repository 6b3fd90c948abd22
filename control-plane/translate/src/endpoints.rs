//! ClusterLoadAssignment: the endpoints of one Service port, by zone.

use std::{collections::BTreeMap, sync::Arc};

use heddle_model::{Endpoint, EndpointHealth, Endpoints, ServicePortKey};
use heddle_proto::{
    envoy::config::{
        core::v3::{HealthStatus, Locality},
        endpoint::v3::{
            ClusterLoadAssignment, Endpoint as WireEndpoint, LbEndpoint, LocalityLbEndpoints,
            lb_endpoint::HostIdentifier,
        },
    },
    type_url,
};
use heddle_snapshot::{Resource, Scope};

use crate::{
    memo::Unit,
    wire::{number, tcp_address},
};

/// The endpoints of one Service port; `None` where resolve knows of none, which is the same as an empty list.
#[derive(Debug, PartialEq)]
pub(crate) struct EndpointsUnit(pub(crate) Option<Arc<Endpoints>>);

impl Unit for EndpointsUnit {
    type Key = ServicePortKey;

    fn build(&self, key: &ServicePortKey) -> Resource {
        let name = key.to_string();
        let endpoints = self.0.as_ref().map_or(&[][..], |known| &known.endpoints);
        let message = ClusterLoadAssignment {
            cluster_name: name.clone(),
            endpoints: by_zone(endpoints),
            ..ClusterLoadAssignment::default()
        };
        Resource::new(
            type_url::CLUSTER_LOAD_ASSIGNMENT,
            name,
            Scope::Everyone,
            vec![format!("Service {}", key.service).into()],
            &message,
        )
    }
}

/// One locality for each zone, in the order of their names; that of endpoints without a zone is first. The weight is the
/// number of endpoints, so that a client that draws a zone first still treats all endpoints alike (Envoy ignores
/// localities without a weight under locality-weighted balancing; gRPC always, gRFC A27).
fn by_zone(endpoints: &[Endpoint]) -> Vec<LocalityLbEndpoints> {
    let mut zones: BTreeMap<&str, Vec<LbEndpoint>> = BTreeMap::new();
    for endpoint in endpoints {
        let zone = endpoint.zone.as_deref().unwrap_or_default();
        zones.entry(zone).or_default().push(lb_endpoint(endpoint));
    }
    zones
        .into_iter()
        .map(|(zone, lb_endpoints)| LocalityLbEndpoints {
            locality: Some(Locality {
                zone: zone.to_owned(),
                ..Locality::default()
            }),
            load_balancing_weight: number(u32::try_from(lb_endpoints.len()).unwrap_or(u32::MAX)),
            lb_endpoints,
            ..LocalityLbEndpoints::default()
        })
        .collect()
}

fn lb_endpoint(endpoint: &Endpoint) -> LbEndpoint {
    let health = match endpoint.health {
        EndpointHealth::Ready => HealthStatus::Healthy,
        EndpointHealth::Draining => HealthStatus::Draining,
    };
    LbEndpoint {
        health_status: health.into(),
        host_identifier: Some(HostIdentifier::Endpoint(WireEndpoint {
            address: Some(tcp_address(endpoint.address, endpoint.port)),
            hostname: endpoint.hostname.as_deref().unwrap_or_default().to_owned(),
            ..WireEndpoint::default()
        })),
        ..LbEndpoint::default()
    }
}
