//! Endpoints as EndpointSlices list them.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use heddle_model::{Endpoint, EndpointHealth, Mesh, NodeName, ServicePort};
use heddle_resources::{
    Cluster, EndpointSlice, k8s_openapi::api::discovery::v1::Endpoint as EndpointObject,
};

use super::{Candidate, same_name};
use crate::{
    names::{RawKey, address, excerpt, is_dns_label, no_port, port_number, transport},
    problem::Report,
};

/// The endpoints of one Service port from all slices of the Service.
pub(super) fn candidates(
    cluster: &Cluster,
    service: &RawKey,
    slices: &BTreeSet<Arc<str>>,
    port: &ServicePort,
    mesh: &Mesh,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for name in slices {
        let Some(slice) = cluster
            .endpoint_slices
            .get(&(service.0.clone(), name.clone()))
        else {
            continue;
        };
        for slice_port in slice.ports.iter().flatten() {
            let same = same_name(port, slice_port.name.as_deref())
                && transport(slice_port.protocol.as_deref()) == Some(port.transport);
            // Without a number: "all ports", which no Service means.
            let Some(number) = slice_port.port.filter(|_| same).and_then(port_number) else {
                continue;
            };
            for object in slice.endpoints.iter().flatten() {
                // Further addresses of one endpoint have no meaning (the API: consumers use the first).
                let Some(address) = object
                    .addresses
                    .first()
                    .and_then(|text| endpoint_address(slice, text).ok())
                else {
                    continue;
                };
                found.push(candidate(object, address, number, mesh));
            }
        }
    }
    found
}

fn candidate(
    object: &EndpointObject,
    address: IpAddr,
    port: heddle_model::PortNumber,
    mesh: &Mesh,
) -> Candidate {
    let conditions = object.conditions.as_ref();
    let ready = conditions
        .and_then(|conditions| conditions.ready)
        .unwrap_or(true);
    let serving = conditions
        .and_then(|conditions| conditions.serving)
        .unwrap_or(true);
    let terminating = conditions
        .and_then(|conditions| conditions.terminating)
        .unwrap_or(false);
    let node = object
        .node_name
        .as_deref()
        .filter(|name| !name.is_empty())
        .map(|name| NodeName(Arc::from(name)));
    let zone = match object.zone.as_deref().filter(|zone| !zone.is_empty()) {
        Some(zone) => Some(Arc::from(zone)),
        None => node
            .as_ref()
            .and_then(|node| mesh.nodes.get(node))
            .and_then(|node| node.zone.clone()),
    };
    let hostname = object
        .hostname
        .as_deref()
        .filter(|name| is_dns_label(name))
        .map(Arc::from);
    Candidate {
        endpoint: Endpoint {
            address,
            port,
            health: EndpointHealth::Ready,
            node,
            zone,
            hostname,
        },
        ready,
        draining: serving && terminating,
    }
}

/// An address that Kubernetes' API would take: of the slice's family, not the caller's own machine or link.
fn endpoint_address(slice: &EndpointSlice, text: &str) -> Result<IpAddr, String> {
    let parsed = address(text).ok_or_else(|| format!("{} is not an IP address", excerpt(text)))?;
    let of_family = match slice.address_type.as_str() {
        "IPv4" => parsed.is_ipv4(),
        "IPv6" => parsed.is_ipv6(),
        _ => false,
    };
    if !of_family {
        return Err(format!("{parsed} is not of the slice's addressType"));
    }
    let link_local = match parsed {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    if parsed.is_unspecified() || parsed.is_loopback() || parsed.is_multicast() || link_local {
        return Err(format!(
            "{parsed} cannot be an endpoint (unspecified, loopback, link-local or multicast)"
        ));
    }
    Ok(parsed)
}

/// Finds what is wrong with a slice.
pub(super) fn check(slice: &EndpointSlice, report: &mut Report) {
    match slice.address_type.as_str() {
        "IPv4" | "IPv6" => {}
        // Names are no addresses; Kubernetes' own proxy leaves them out as well.
        "FQDN" => return,
        other => {
            report.add(
                "addressType",
                format!(
                    "{} is not IPv4, IPv6 or FQDN; the slice is left out",
                    excerpt(other)
                ),
            );
            return;
        }
    }
    for (index, port) in slice.ports.iter().flatten().enumerate() {
        let field = |name: &str| format!("ports[{index}].{name}");
        if let Some(number) = port.port.filter(|number| port_number(*number).is_none()) {
            report.add(
                field("port"),
                format!("{}; it is left out", no_port(number)),
            );
        }
        if let Some(protocol) = port
            .protocol
            .as_deref()
            .filter(|protocol| transport(Some(protocol)).is_none())
        {
            report.add(
                field("protocol"),
                format!(
                    "{} is not TCP, UDP or SCTP; it is left out",
                    excerpt(protocol)
                ),
            );
        }
    }
    for (index, object) in slice.endpoints.iter().flatten().enumerate() {
        match object.addresses.first() {
            None => report.add(
                format!("endpoints[{index}].addresses"),
                "is empty; the endpoint is left out",
            ),
            Some(text) => {
                if let Err(message) = endpoint_address(slice, text) {
                    report.add(
                        format!("endpoints[{index}].addresses[0]"),
                        format!("{message}; the endpoint is left out"),
                    );
                }
            }
        }
    }
}
