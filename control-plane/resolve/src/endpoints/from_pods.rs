//! Endpoints computed from a Service's selector, as Kubernetes' endpointslice controller does.

use std::sync::Arc;

use heddle_model::{Endpoint, EndpointHealth, PortNumber};

use super::Candidate;
use crate::{
    names::{RawKey, excerpt, in_namespace, is_dns_label, transport_name},
    pods,
    problem::Report,
    services::{ServiceState, TargetPort},
    workloads::{PodState, Workloads},
};

/// The endpoints of one Service port (by its index in the model).
pub(super) fn candidates(
    service: &ServiceState,
    index: usize,
    key: &RawKey,
    workloads: &Workloads,
    report: &mut Report,
) -> Vec<Candidate> {
    let (Some(port), Some(target)) = (service.model.ports.get(index), service.targets.get(index))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let (mut selected, mut named) = (0_usize, 0_usize);
    for (_, state) in in_namespace(workloads.all(), &key.0) {
        if !service.selects(pods::labels(&state.pod)) {
            continue;
        }
        selected += 1;
        let number = match &target.port {
            TargetPort::Number(number) => Some(*number),
            TargetPort::Named(name) => pods::named_port(&state.pod, name, port.transport),
        };
        if let Some(number) = number {
            named += 1;
            found.extend(of_pod(service, &key.1, state, number));
        }
    }
    if let (TargetPort::Named(name), true) = (&target.port, selected > 0 && named == 0) {
        report.add(
            format!("spec.ports[{}].targetPort", target.index),
            format!(
                "no selected pod has a {} port named {}",
                transport_name(port.transport),
                excerpt(name)
            ),
        );
    }
    found
}

fn of_pod(
    service: &ServiceState,
    name: &Arc<str>,
    state: &PodState,
    port: PortNumber,
) -> Vec<Candidate> {
    let pod = &state.pod;
    let terminating = pods::is_terminating(pod);
    let serving = pods::is_ready(pod);
    let addresses = state
        .workload
        .addresses
        .iter()
        .filter(|address| service.families.contains(address));
    addresses
        .map(|address| Candidate {
            endpoint: Endpoint {
                address: *address,
                port,
                health: EndpointHealth::Ready,
                node: state.workload.node.clone(),
                zone: state.workload.zone.clone(),
                hostname: hostname(state, name),
            },
            ready: service.publish_not_ready || (serving && !terminating),
            draining: serving && terminating,
        })
        .collect()
}

/// spec.hostname, if spec.subdomain names the Service: `postgres-0` in `postgres-0.postgres-headless.shop.svc...`.
fn hostname(state: &PodState, service: &str) -> Option<Arc<str>> {
    let spec = state.pod.spec.as_ref()?;
    let hostname = spec.hostname.as_deref().filter(|name| is_dns_label(name))?;
    (spec.subdomain.as_deref() == Some(service)).then(|| Arc::from(hostname))
}
