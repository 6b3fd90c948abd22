//! Looking names up in the configuration.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use heddle_config::{
    ClusterKind, DnsAnswer, DnsRecord, Endpoint, EndpointHealth, EndpointSet, ProxyConfig,
};

/// What a name of ours holds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Addresses, of either family.
    Addresses(Vec<IpAddr>),
    /// Another name.
    Alias(Arc<str>),
    /// Targets of a service: name and port.
    Targets(Vec<(String, u16)>),
    /// It exists, with nothing for the asked type.
    Nothing,
}

/// Looks a name up (lower case, without the final dot). `None`: it does not exist.
pub(crate) fn find(config: &ProxyConfig, name: &str) -> Option<Holds> {
    if let Some(record) = config.dns.get(name) {
        return held(config, record);
    }
    let (label, parent) = name.split_once('.')?;
    let parent_record = config.dns.get(parent)?;
    if label == "_tcp" || label == "_udp" || label == "_sctp" {
        // Between a Service and its SRV names: an empty non-terminal exists (RFC 8020).
        return Some(Holds::Nothing);
    }
    let DnsAnswer::Cluster(cluster) = &parent_record.answer else {
        return None;
    };
    let endpoints = endpoints(config, cluster)?;
    let addresses: Vec<_> = usable(endpoints)
        .filter(|endpoint| endpoint_label(endpoint) == label)
        .map(|endpoint| endpoint.address.ip())
        .collect();
    (!addresses.is_empty()).then_some(Holds::Addresses(addresses))
}

fn held(config: &ProxyConfig, record: &DnsRecord) -> Option<Holds> {
    match &record.answer {
        DnsAnswer::Addresses(addresses) => Some(Holds::Addresses(addresses.clone())),
        DnsAnswer::Cluster(name) => {
            if let Some(cluster) = config.clusters.get(name)
                && let ClusterKind::Alias(host) = &cluster.kind
            {
                return Some(Holds::Alias(Arc::clone(host)));
            }
            // Kubernetes DNS 1.1.0 section 2.4.1: no ready endpoints, no such name.
            let mut addresses: Vec<_> = usable(endpoints(config, name)?)
                .map(|endpoint| endpoint.address.ip())
                .collect();
            addresses.dedup();
            (!addresses.is_empty()).then_some(Holds::Addresses(addresses))
        }
        DnsAnswer::Service { target, port } => {
            let udp = record.name.contains("._udp.");
            let sctp = record.name.contains("._sctp.");
            let port = Port {
                number: *port,
                suffix: if udp {
                    "/udp"
                } else if sctp {
                    "/sctp"
                } else {
                    ""
                },
            };
            Some(Holds::Targets(targets(config, target, &port)))
        }
    }
}

/// A port of a Service, as the names of clusters write it.
struct Port {
    number: u16,
    suffix: &'static str,
}

/// One target for a ClusterIP Service, one for each endpoint of a headless one: there with the port that the endpoint has,
/// which need not be the Service's.
fn targets(config: &ProxyConfig, service: &str, port: &Port) -> Vec<(String, u16)> {
    let Some(record) = config.dns.get(service) else {
        return Vec::new();
    };
    match &record.answer {
        DnsAnswer::Cluster(first) => {
            let own = of_port(config, first, port);
            let known = own.or_else(|| endpoints(config, first));
            let number = |endpoint: &Endpoint| match own {
                Some(_) => endpoint.address.port(),
                None => port.number,
            };
            known
                .into_iter()
                .flat_map(|endpoints| usable(endpoints))
                .map(|endpoint| {
                    let target = format!("{}.{service}", endpoint_label(endpoint));
                    (target, number(endpoint))
                })
                .collect()
        }
        DnsAnswer::Addresses(_) | DnsAnswer::Service { .. } => {
            vec![(service.to_owned(), port.number)]
        }
    }
}

/// The endpoints of another port of the same Service (`shop/db:5432` → `shop/db:9187`).
fn of_port<'a>(
    config: &'a ProxyConfig,
    cluster: &str,
    port: &Port,
) -> Option<&'a Arc<EndpointSet>> {
    let (service, _) = cluster.rsplit_once(':')?;
    endpoints(config, &format!("{service}:{}{}", port.number, port.suffix))
}

/// The name of an address, for reverse look-ups: of a ClusterIP, or of an endpoint under a headless Service.
pub(crate) fn name_of(config: &ProxyConfig, address: IpAddr) -> Option<String> {
    config.dns.values().find_map(|record| match &record.answer {
        DnsAnswer::Addresses(addresses) => addresses
            .contains(&address)
            .then(|| record.name.to_string()),
        DnsAnswer::Cluster(cluster) => usable(endpoints(config, cluster)?)
            .find(|endpoint| endpoint.address.ip() == address)
            .map(|endpoint| format!("{}.{}", endpoint_label(endpoint), record.name)),
        DnsAnswer::Service { .. } => None,
    })
}

pub(crate) fn endpoints<'a>(
    config: &'a ProxyConfig,
    cluster: &str,
) -> Option<&'a Arc<EndpointSet>> {
    config.endpoints_of(config.clusters.get(cluster)?)
}

/// Healthy ones; those that drain only if nothing else is there.
pub(crate) fn usable(set: &EndpointSet) -> impl Iterator<Item = &Endpoint> {
    let healthy = |endpoint: &&Endpoint| endpoint.health == EndpointHealth::Healthy;
    let any_healthy = set.endpoints.iter().any(|endpoint| healthy(&endpoint));
    set.endpoints
        .iter()
        .filter(move |endpoint| !any_healthy || healthy(endpoint))
}

/// The endpoint's own name, or its address with dashes, as CoreDNS makes it.
fn endpoint_label(endpoint: &Endpoint) -> String {
    let dashed = |address: &SocketAddr| address.ip().to_string().replace(['.', ':'], "-");
    match &endpoint.hostname {
        Some(hostname) => hostname.to_string(),
        None => dashed(&endpoint.address),
    }
}
