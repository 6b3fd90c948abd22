//! What can be read off a Pod object alone.

use std::net::IpAddr;

use heddle_model::{PortNumber, Transport};
use heddle_resources::{
    Pod,
    k8s_openapi::api::core::v1::{Container, ContainerPort},
};

use crate::{
    names::{address, excerpt, port_number, transport},
    problem::Report,
    selector::Labels,
};

/// Its labels.
pub(crate) fn labels(pod: &Pod) -> &Labels {
    static NONE: Labels = Labels::new();
    pod.metadata.labels.as_ref().unwrap_or(&NONE)
}

/// Whether it has run to its end (phase `Succeeded` or `Failed`): its address may already belong to another pod.
pub(crate) fn is_finished(pod: &Pod) -> bool {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether its deletion has begun.
pub(crate) fn is_terminating(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Whether its condition `Ready` is true.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    conditions
        .into_iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether it uses its node's network.
pub(crate) fn is_host_network(pod: &Pod) -> bool {
    pod.spec
        .as_ref()
        .is_some_and(|spec| spec.host_network == Some(true))
}

/// status.podIPs, else status.podIP; in that order, no duplicates.
pub(crate) fn addresses(pod: &Pod, report: &mut Report) -> Vec<IpAddr> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let listed: Vec<(String, &str)> = match &status.pod_ips {
        Some(list) if !list.is_empty() => list
            .iter()
            .enumerate()
            .map(|(index, entry)| (format!("status.podIPs[{index}].ip"), entry.ip.as_str()))
            .collect(),
        _ => status
            .pod_ip
            .iter()
            .map(|ip| ("status.podIP".to_owned(), ip.as_str()))
            .collect(),
    };
    let mut addresses = Vec::new();
    for (field, text) in listed {
        match address(text) {
            Some(address) if !addresses.contains(&address) => addresses.push(address),
            Some(_) => {}
            // A pod that waits for its network may carry an empty address.
            None if text.is_empty() => {}
            None => report.add(
                field,
                format!("{} is not an IP address; it is left out", excerpt(text)),
            ),
        }
    }
    addresses
}

/// The ports that its containers and sidecars declare.
pub(crate) fn container_ports(pod: &Pod) -> impl Iterator<Item = &ContainerPort> {
    let spec = pod.spec.as_ref();
    // An init container that restarts always is a sidecar: it serves beside the main ones.
    let sidecar = |container: &&Container| container.restart_policy.as_deref() == Some("Always");
    let sidecars = spec
        .into_iter()
        .flat_map(|spec| spec.init_containers.iter().flatten())
        .filter(sidecar);
    let containers = spec.into_iter().flat_map(|spec| spec.containers.iter());
    containers
        .chain(sidecars)
        .flat_map(|container| container.ports.iter().flatten())
}

/// The number behind a named port, by name and protocol; the first one where several containers use the name.
pub(crate) fn named_port(pod: &Pod, name: &str, protocol: Transport) -> Option<PortNumber> {
    container_ports(pod)
        .find(|port| {
            port.name.as_deref() == Some(name)
                && transport(port.protocol.as_deref()) == Some(protocol)
        })
        .and_then(|port| port_number(port.container_port))
}
