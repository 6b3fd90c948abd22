//! May the origin send there? NetworkPolicy egress, asked about the endpoint that was really chosen.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use heddle_config::{NetworkPolicy, PodConfig, ProxyConfig};
use heddle_routing::policy::{Protocol, Subject};

use crate::Origin;

/// The policies that isolate the origin, if none of their rules allows the destination.
pub(crate) fn refused_by(
    config: &ProxyConfig,
    from: &Origin,
    destination: SocketAddr,
) -> Option<Vec<Arc<str>>> {
    let pod = newest(config, from.pod.as_ref()?);
    let NetworkPolicy::Isolated { by, rules } = &pod.egress else {
        return None;
    };
    if pod.addresses.contains(&destination.ip()) {
        // NetworkPolicy cannot keep a pod from itself (networking.k8s.io/v1, "Network Policies", prerequisites).
        return None;
    }
    let subject = Subject {
        protocol: Protocol::Tcp,
        source: source(pod, destination.ip()),
        destination: destination.ip(),
        port: destination.port(),
        identity: None,
        request: None,
    };
    let decision = rules.decide(&subject, &config.address_sets);
    (!decision.is_allowed()).then(|| by.clone())
}

/// The rules of this moment: the origin's copy is from when its connection was accepted, and policies change meanwhile.
/// A pod of the same name with another uid is another pod.
fn newest<'a>(config: &'a ProxyConfig, pod: &'a Arc<PodConfig>) -> &'a PodConfig {
    config
        .pods
        .get(&pod.name)
        .filter(|newer| newer.uid == pod.uid)
        .unwrap_or(pod)
}

/// The pod's address of the destination's family. Egress rules do not look at it; a subject must have one.
fn source(pod: &PodConfig, destination: IpAddr) -> IpAddr {
    pod.addresses
        .iter()
        .copied()
        .find(|address| address.is_ipv4() == destination.is_ipv4())
        .or_else(|| pod.addresses.first().copied())
        .unwrap_or(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
}
