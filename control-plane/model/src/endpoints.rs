//! Where the traffic of one Service port can go.

use std::{net::IpAddr, sync::Arc};

use crate::{NodeName, PortNumber, ServicePortKey};

/// The endpoints of one Service port, sorted by (address, port), no duplicates, from all of its EndpointSlices.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Endpoints {
    /// The port they belong to.
    pub key: ServicePortKey,
    /// Usable ones: all that are ready; if none is, those that are serving while they terminate.
    /// A headless Service keeps only what DNS may tell.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Endpoint {
    /// The pod's address.
    pub address: IpAddr,
    /// The port on the pod: targetPort, resolved.
    pub port: PortNumber,
    /// Ready or on its way out.
    pub health: EndpointHealth,
    /// The node it runs on.
    pub node: Option<NodeName>,
    /// topology.kubernetes.io/zone.
    pub zone: Option<Arc<str>>,
    /// Its own DNS name under a headless Service (`postgres-0`).
    pub hostname: Option<Arc<str>>,
}

/// Whether an endpoint is meant to get new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum EndpointHealth {
    /// Ready.
    Ready,
    /// Serving but terminating; only used when nothing is ready.
    Draining,
}
