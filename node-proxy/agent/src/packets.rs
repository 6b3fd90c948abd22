//! Packet rules of a pod: what the proxy does not carry.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use heddle_config::{ClusterKind, DnsAnswer, NetworkPolicy, PodConfig, ProxyConfig};
use heddle_redirect::packets::{PacketPolicy, Ruleset, ServiceAddress, compile};
use heddle_routing::policy::{Protocol, Rbac};

/// The rules that a pod should have now.
pub(crate) fn wanted(
    config: &ProxyConfig,
    pod: &PodConfig,
    node_addresses: &[IpAddr],
    services: &[ServiceAddress],
) -> Ruleset {
    compile(&PacketPolicy {
        pod_addresses: &pod.addresses,
        node_addresses,
        ingress: rules(&pod.ingress),
        egress: rules(&pod.egress),
        sets: &config.address_sets,
        services,
    })
}

fn rules(policy: &NetworkPolicy) -> Option<&Rbac> {
    match policy {
        NetworkPolicy::Open => None,
        NetworkPolicy::Isolated { rules, .. } => Some(rules),
    }
}

/// Virtual addresses of UDP and SCTP ports. Their clusters are named `namespace/service:port/udp`, and the Service's address
/// stands in its DNS record.
pub(crate) fn services(config: &ProxyConfig, cluster_domain: &str) -> Vec<ServiceAddress> {
    let mut found = Vec::new();
    for cluster in config.clusters.values() {
        let Some((service, port, protocol)) = parse(&cluster.name) else {
            continue;
        };
        let (namespace, name) = service;
        let record = config
            .dns
            .get(format!("{name}.{namespace}.svc.{cluster_domain}").as_str());
        let Some(DnsAnswer::Addresses(addresses)) = record.map(|record| &record.answer) else {
            continue;
        };
        let endpoints = match &cluster.kind {
            ClusterKind::Eds(name) => endpoints(config, name),
            ClusterKind::OriginalDestination | ClusterKind::Alias(_) => Vec::new(),
        };
        found.extend(addresses.iter().map(|address| ServiceAddress {
            address: *address,
            port,
            protocol,
            endpoints: endpoints.clone(),
        }));
    }
    found.sort();
    found
}

fn endpoints(config: &ProxyConfig, name: &Arc<str>) -> Vec<SocketAddr> {
    let set = config.endpoints.get(name);
    set.map(|set| {
        set.endpoints
            .iter()
            .map(|endpoint| endpoint.address)
            .collect()
    })
    .unwrap_or_default()
}

/// `kube-system/kube-dns:53/udp`.
fn parse(cluster: &str) -> Option<((&str, &str), u16, Protocol)> {
    let (rest, protocol) = if let Some(rest) = cluster.strip_suffix("/udp") {
        (rest, Protocol::Udp)
    } else {
        (cluster.strip_suffix("/sctp")?, Protocol::Sctp)
    };
    let (service, port) = rest.rsplit_once(':')?;
    Some((service.split_once('/')?, port.parse().ok()?, protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clusters_tell_the_service_and_the_protocol() {
        let dns = Some((("kube-system", "kube-dns"), 53, Protocol::Udp));
        assert_eq!(parse("kube-system/kube-dns:53/udp"), dns);
        assert_eq!(parse("shop/cart:80"), None);
        assert_eq!(parse("shop/cart/udp"), None);
    }
}
