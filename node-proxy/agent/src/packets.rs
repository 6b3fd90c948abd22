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
    pod_addresses: &[IpAddr],
    node_addresses: &[IpAddr],
    services: &[ServiceAddress],
) -> Ruleset {
    compile(&PacketPolicy {
        pod_addresses,
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

/// The port of name servers. Packet rules judge it for TCP too: such connections go to the proxy's own name server.
const DNS_PORT: u16 = 53;

/// Virtual addresses that packet rules have to know: those of UDP and SCTP ports, and for TCP those of name servers.
///
/// Clusters of UDP and SCTP ports are named `namespace/service:port/udp`, and the Service's address stands in its DNS record. A
/// TCP port has a listener of the cluster's name.
pub(crate) fn services(config: &ProxyConfig, cluster_domain: &str) -> Vec<ServiceAddress> {
    let mut found = name_servers(config);
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

fn name_servers(config: &ProxyConfig) -> Vec<ServiceAddress> {
    let listeners = config.outbound.iter();
    listeners
        .filter(|(address, _)| address.port() == DNS_PORT)
        .map(|(address, listener)| ServiceAddress {
            address: address.ip(),
            port: address.port(),
            protocol: Protocol::Tcp,
            endpoints: endpoints(config, &listener.name),
        })
        .collect()
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
    use heddle_config::{
        Cluster, DnsRecord, Endpoint, EndpointHealth, EndpointSet, OutboundListener,
        OutboundProtocol, UpstreamHttp,
    };

    use super::*;

    /// kube-dns and a web server, both at port 53 and 80 of the same address.
    fn config() -> ProxyConfig {
        let mut config = ProxyConfig::default();
        for (cluster, endpoint) in [
            ("kube-system/kube-dns:53", "10.244.1.2:5354"),
            ("kube-system/kube-dns:53/udp", "10.244.1.2:5353"),
            ("kube-system/kube-dns:80", "10.244.1.2:8080"),
        ] {
            add_cluster(&mut config, cluster, endpoint);
        }
        for port in [53, 80] {
            let name: Arc<str> = format!("kube-system/kube-dns:{port}").as_str().into();
            let address = SocketAddr::from(([10, 96, 0, 10], port));
            let listener = OutboundListener {
                name: Arc::clone(&name),
                client_namespace: None,
                addresses: vec![address],
                protocol: OutboundProtocol::Opaque { cluster: name },
            };
            config.outbound.insert(address, Arc::new(listener));
        }
        let name: Arc<str> = "kube-dns.kube-system.svc.cluster.local".into();
        let record = DnsRecord {
            name: Arc::clone(&name),
            answer: DnsAnswer::Addresses(vec!["10.96.0.10".parse().unwrap()]),
        };
        config.dns.insert(name, Arc::new(record));
        config
    }

    fn add_cluster(config: &mut ProxyConfig, name: &str, endpoint: &str) {
        let name: Arc<str> = name.into();
        let cluster = Cluster {
            name: Arc::clone(&name),
            kind: ClusterKind::Eds(Arc::clone(&name)),
            http: UpstreamHttp::AsClient,
            connect_timeout: std::time::Duration::from_secs(1),
            tls: heddle_config::ClusterTls::None,
        };
        config.clusters.insert(Arc::clone(&name), Arc::new(cluster));
        let endpoint = Endpoint {
            address: endpoint.parse().unwrap(),
            health: EndpointHealth::Healthy,
            hostname: None,
            weight: 1,
        };
        let set = EndpointSet {
            endpoints: vec![endpoint],
        };
        config.endpoints.insert(name, Arc::new(set));
    }

    #[test]
    fn a_name_servers_address_is_known_for_tcp_as_for_udp_and_other_tcp_ports_are_not() {
        let found = services(&config(), "cluster.local");
        let known: Vec<_> = found
            .iter()
            .map(|service| {
                let endpoint = service.endpoints[0].to_string();
                (service.port, service.protocol, endpoint)
            })
            .collect();
        let expected = [
            (53, Protocol::Tcp, "10.244.1.2:5354".to_owned()),
            (53, Protocol::Udp, "10.244.1.2:5353".to_owned()),
        ];
        assert_eq!(known, expected);
    }

    #[test]
    fn names_of_clusters_tell_the_service_and_the_protocol() {
        let dns = Some((("kube-system", "kube-dns"), 53, Protocol::Udp));
        assert_eq!(parse("kube-system/kube-dns:53/udp"), dns);
        assert_eq!(parse("shop/cart:80"), None);
        assert_eq!(parse("shop/cart/udp"), None);
    }
}
