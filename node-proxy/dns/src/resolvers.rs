//! Whom to ask: what stands behind the resolvers' addresses. Pure.
//!
//! A resolver is usually configured by its Service's address, which is nobody's: something has to pick a pod behind it, and
//! where the mesh does the work of kube-proxy that is us.

use std::net::{IpAddr, SocketAddr};

use heddle_config::{DnsAnswer, ProxyConfig};

use crate::{Context, Transport, records};

/// How many are asked for one query, one after the other: more would take longer than clients wait.
const MOST: usize = 3;

/// Every address that a query may be sent to, and those that it may be meant for: what an egress policy is asked about.
pub(crate) fn all(
    config: &ProxyConfig,
    context: &Context,
    transport: Transport,
) -> Vec<SocketAddr> {
    let behind = context
        .resolvers
        .iter()
        .flat_map(|resolver| behind(config, *resolver, transport).unwrap_or_default());
    context.resolvers.iter().copied().chain(behind).collect()
}

/// Whom to ask, in order: first one of each resolver, then another of each, only those that the pod's policy allows. `turn`
/// says which one of a resolver's pods comes first.
pub(crate) fn targets(context: &Context, transport: Transport, turn: u16) -> Vec<SocketAddr> {
    let config = context.config.load();
    let of_each: Vec<_> = context
        .resolvers
        .iter()
        .map(|resolver| allowed(&config, context, *resolver, transport, turn))
        .collect();
    let longest = of_each.iter().map(Vec::len).max().unwrap_or_default();
    (0..longest)
        .flat_map(|nth| of_each.iter().filter_map(move |those| those.get(nth)))
        .take(MOST)
        .copied()
        .collect()
}

fn allowed(
    config: &ProxyConfig,
    context: &Context,
    resolver: SocketAddr,
    transport: Transport,
    turn: u16,
) -> Vec<SocketAddr> {
    let may_ask = |address| (context.allowed)(transport, &[address]);
    let itself = may_ask(resolver);
    let Some(mut behind) = behind(config, resolver, transport) else {
        return if itself { vec![resolver] } else { Vec::new() };
    };
    behind.retain(|endpoint| itself || may_ask(*endpoint));
    let first = usize::from(turn) % behind.len().max(1);
    behind.rotate_left(first);
    behind
}

/// The pods behind an address if it is a Service's, those that are ready; none: the Service has nobody for this transport.
/// `None`: it is no Service that we know of.
fn behind(
    config: &ProxyConfig,
    resolver: SocketAddr,
    transport: Transport,
) -> Option<Vec<SocketAddr>> {
    // By its TCP port that is one look-up; a Service without one is known by its name only.
    let port = match config.outbound.get(&resolver) {
        Some(listener) => listener.name.to_string(),
        None => format!("{}:{}", service_at(config, resolver.ip())?, resolver.port()),
    };
    let cluster = match transport {
        Transport::Tcp => port,
        Transport::Udp => port + "/udp",
    };
    let endpoints = records::endpoints(config, &cluster).map(|set| {
        let usable = records::usable(set);
        usable.map(|endpoint| endpoint.address).collect()
    });
    Some(endpoints.unwrap_or_default())
}

/// `kube-system/kube-dns`: the Service that has this address.
fn service_at(config: &ProxyConfig, address: IpAddr) -> Option<String> {
    let has_it =
        |answer: &DnsAnswer| matches!(answer, DnsAnswer::Addresses(all) if all.contains(&address));
    let record = config.dns.values().find(|record| has_it(&record.answer))?;
    let mut labels = record.name.split('.');
    let (service, namespace) = (labels.next()?, labels.next()?);
    Some(format!("{namespace}/{service}"))
}
