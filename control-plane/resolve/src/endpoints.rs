//! Where the traffic of each Service port can go.
//!
//! EndpointSlices are believed where there are any for the Service. Otherwise (a folder of YAML, where no controller runs) the endpoints are computed
//! from the Service's selector and the Pods by the same rules as Kubernetes' endpointslice controller.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_model::{
    Endpoint, EndpointHealth, Endpoints, Mesh, ServiceKind, ServicePort, ServicePortKey,
};
use heddle_resources::{Cluster, Kind};

use crate::{
    names::{RawKey, id},
    problem::{Facet, ProblemBook, Report},
    retain,
    services::{ServiceState, Services},
    settings::SERVICE_NAME_LABEL,
    workloads::Workloads,
};

mod from_pods;
mod from_slices;

/// An endpoint, before it is decided whether it is used.
struct Candidate {
    endpoint: Endpoint,
    /// Gets new connections.
    ready: bool,
    /// On its way out, but still answering: used if nothing is ready (KEP-1669).
    draining: bool,
}

/// Knows which EndpointSlices belong to which Service.
#[derive(Debug, Default)]
pub(crate) struct EndpointIndex {
    slices: BTreeMap<RawKey, BTreeSet<Arc<str>>>,
    services: BTreeMap<RawKey, RawKey>,
    ports: BTreeMap<RawKey, BTreeSet<ServicePortKey>>,
}

impl EndpointIndex {
    /// Notes that a slice changed; returns the Services that it belonged to and belongs to.
    pub(crate) fn slice_changed(
        &mut self,
        cluster: &Cluster,
        slice: &RawKey,
        problems: &mut ProblemBook,
    ) -> BTreeSet<RawKey> {
        let mut touched = BTreeSet::new();
        if let Some(service) = self.services.remove(slice) {
            if let Some(slices) = self.slices.get_mut(&service) {
                slices.remove(&slice.1);
                if slices.is_empty() {
                    self.slices.remove(&service);
                }
            }
            touched.insert(service);
        }
        let Some(object) = cluster.endpoint_slices.get(slice) else {
            problems.set(
                Facet::EndpointSlice,
                id(Kind::EndpointSlice, slice),
                Vec::new(),
            );
            return touched;
        };
        let mut report = Report::on(id(Kind::EndpointSlice, slice));
        from_slices::check(object, &mut report);
        problems.set(
            Facet::EndpointSlice,
            id(Kind::EndpointSlice, slice),
            report.into_problems(),
        );
        let label = object
            .metadata
            .labels
            .as_ref()
            .and_then(|labels| labels.get(SERVICE_NAME_LABEL));
        if let Some(name) = label {
            let service: RawKey = (slice.0.clone(), Arc::from(name.as_str()));
            self.slices
                .entry(service.clone())
                .or_default()
                .insert(slice.1.clone());
            self.services.insert(slice.clone(), service.clone());
            touched.insert(service);
        }
        touched
    }

    /// Computes the endpoints of one Service again.
    pub(crate) fn update(
        &mut self,
        cluster: &Cluster,
        service: &RawKey,
        services: &Services,
        workloads: &Workloads,
        mesh: &mut Mesh,
        problems: &mut ProblemBook,
    ) {
        let state = services.get(service);
        let mut report = Report::on(id(Kind::Service, service));
        let mut current = BTreeSet::new();
        if let Some(state) = state {
            for (index, port) in state.model.ports.iter().enumerate() {
                let key = state.model.port_key(port);
                let candidates = match self.slices.get(service) {
                    Some(slices) => from_slices::candidates(cluster, service, slices, port, mesh),
                    None => from_pods::candidates(state, index, service, workloads, &mut report),
                };
                let endpoints = usable(candidates, &state.model.kind);
                let value = Endpoints {
                    key: key.clone(),
                    endpoints,
                };
                retain::put(&mut mesh.endpoints, key.clone(), Some(value));
                current.insert(key);
            }
        }
        problems.set(
            Facet::Endpoints,
            id(Kind::Service, service),
            report.into_problems(),
        );
        let old = match current.is_empty() {
            true => self.ports.remove(service),
            false => self.ports.insert(service.clone(), current.clone()),
        };
        for gone in old.unwrap_or_default().difference(&current) {
            mesh.endpoints.remove(gone);
        }
    }
}

/// The Services whose computed endpoints a pod with these labels belongs to.
pub(crate) fn services_of_pod(
    services: &Services,
    namespace: &Arc<str>,
    labels: &[&crate::selector::Labels],
) -> BTreeSet<RawKey> {
    crate::names::in_namespace(services.all(), namespace)
        .filter(|(_, state): &(&RawKey, &ServiceState)| {
            labels.iter().any(|labels| state.selects(labels))
        })
        .map(|(key, _)| key.clone())
        .collect()
}

/// All that are ready; if none is, those that still answer while they terminate. For a headless Service only what DNS may tell: the ready ones.
fn usable(candidates: Vec<Candidate>, kind: &ServiceKind) -> Vec<Endpoint> {
    let ready: Vec<Endpoint> = candidates
        .iter()
        .filter(|candidate| candidate.ready)
        .map(|candidate| candidate.endpoint.clone())
        .collect();
    let mut chosen = if ready.is_empty() && !matches!(kind, ServiceKind::Headless) {
        let draining = candidates
            .into_iter()
            .filter(|candidate| candidate.draining);
        draining
            .map(|candidate| Endpoint {
                health: EndpointHealth::Draining,
                ..candidate.endpoint
            })
            .collect()
    } else {
        ready
    };
    // The same address may stand in several slices; with more to tell first, so that it is kept.
    chosen.sort_by(|a, b| {
        (a.address, a.port, b.hostname.is_some(), b).cmp(&(
            b.address,
            b.port,
            a.hostname.is_some(),
            a,
        ))
    });
    chosen.dedup_by_key(|endpoint| (endpoint.address, endpoint.port));
    chosen
}

/// Whether a slice's port is this Service port.
fn same_name(port: &ServicePort, name: Option<&str>) -> bool {
    port.name.as_deref().unwrap_or_default() == name.unwrap_or_default()
}
