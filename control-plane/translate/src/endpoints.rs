//! ClusterLoadAssignment: the endpoints of one Service port, by zone.

use std::{collections::BTreeMap, sync::Arc};

use heddle_model::{Endpoint, EndpointHealth, Endpoints, ServicePortKey};
use heddle_proto::{
    envoy::config::{
        core::v3::{Address, HealthStatus, Locality, Metadata},
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
        let endpoints = self.0.iter().flat_map(|known| &known.endpoints);
        let reached = endpoints
            .map(|endpoint| (endpoint, tcp_address(endpoint.address, endpoint.port), None));
        assignment(key, Scope::Everyone, reached)
    }
}

/// The resource of a Service port's endpoints, each with the address that it is reached at and what else is told of it.
pub(crate) fn assignment<'a>(
    key: &ServicePortKey,
    scope: Scope,
    endpoints: impl Iterator<Item = (&'a Endpoint, Address, Option<Metadata>)>,
) -> Resource {
    let name = key.to_string();
    let message = ClusterLoadAssignment {
        cluster_name: name.clone(),
        endpoints: by_zone(endpoints),
        ..ClusterLoadAssignment::default()
    };
    Resource::new(
        type_url::CLUSTER_LOAD_ASSIGNMENT,
        name,
        scope,
        vec![format!("Service {}", key.service).into()],
        &message,
    )
}

/// One locality for each zone, in the order of their names; that of endpoints without a zone is first. The weight is the
/// number of endpoints, so that a client that draws a zone first still treats all endpoints alike (Envoy ignores
/// localities without a weight under locality-weighted balancing; gRPC always, gRFC A27).
fn by_zone<'a>(
    endpoints: impl Iterator<Item = (&'a Endpoint, Address, Option<Metadata>)>,
) -> Vec<LocalityLbEndpoints> {
    let mut zones: BTreeMap<&str, Vec<LbEndpoint>> = BTreeMap::new();
    for (endpoint, address, metadata) in endpoints {
        let zone = endpoint.zone.as_deref().unwrap_or_default();
        let lb_endpoint = lb_endpoint(endpoint, address, metadata);
        zones.entry(zone).or_default().push(lb_endpoint);
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

fn lb_endpoint(endpoint: &Endpoint, address: Address, metadata: Option<Metadata>) -> LbEndpoint {
    let health = match endpoint.health {
        EndpointHealth::Ready => HealthStatus::Healthy,
        EndpointHealth::Draining => HealthStatus::Draining,
    };
    LbEndpoint {
        health_status: health.into(),
        metadata,
        host_identifier: Some(HostIdentifier::Endpoint(WireEndpoint {
            address: Some(address),
            hostname: endpoint.hostname.as_deref().unwrap_or_default().to_owned(),
            ..WireEndpoint::default()
        })),
        ..LbEndpoint::default()
    }
}
