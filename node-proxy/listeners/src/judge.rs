//! May this connection? NetworkPolicy, the pod's own demands, and AuthorizationPolicy for what is not HTTP. Pure.

use std::net::{IpAddr, SocketAddr};

use heddle_config::{NetworkPolicy, PodConfig, ProxyConfig};
use heddle_filters::{Failure, authorization_refusal};
use heddle_identity::SpiffeId;
use heddle_routing::policy::{Protocol, Subject};
use heddle_telemetry::ResponseFlag;

use crate::ConnectionInfo;

/// The ports that the proxy listens on in every pod's namespace.
const OWN_PORTS: [u16; 4] = [15001, 15006, 15008, 15053];

/// A connection that wants to get to a pod.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    /// The real client.
    pub(crate) source: SocketAddr,
    /// The pod's address and the real port.
    pub(crate) destination: SocketAddr,
    /// Who it is, proven by mutual TLS.
    pub(crate) identity: Option<SpiffeId>,
    /// It comes from the node itself.
    pub(crate) from_node: bool,
}

impl Arrival {
    /// As it was accepted; `identity` is what mutual TLS has proven.
    pub(crate) fn new(info: ConnectionInfo, identity: Option<SpiffeId>, from_node: bool) -> Self {
        Self {
            source: info.peer,
            destination: info.original_destination,
            identity,
            from_node,
        }
    }

    /// A probe of the node's: always let in, also to a strict pod. NetworkPolicy demands it, and there is nobody to prove.
    pub(crate) fn is_probe(&self) -> bool {
        self.from_node && self.identity.is_none()
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            protocol: Protocol::Tcp,
            source: self.source.ip(),
            destination: self.destination.ip(),
            port: self.destination.port(),
            identity: self.identity.as_ref(),
            request: None,
        }
    }
}

/// Judges a connection that wants to get to a pod. On ports that are read as HTTP, AuthorizationPolicy is asked for each
/// request instead.
pub(crate) fn arrival(
    config: &ProxyConfig,
    pod: &PodConfig,
    arrival: &Arrival,
) -> Result<(), Failure> {
    if arrival.is_probe() {
        return Ok(());
    }
    if arrival.identity.is_none() && !pod.permissive {
        return Err(Failure::new(
            ResponseFlag::PlaintextRefused,
            format!("{} takes only mutual TLS, this is plain text", pod.name),
        ));
    }
    if !arrival.from_node {
        network_policy(
            config,
            &pod.ingress,
            &arrival.subject(),
            arrival.source.ip(),
        )?;
    }
    if pod.http_ports.contains_key(&arrival.destination.port()) {
        return Ok(());
    }
    match authorization_refusal(pod, &arrival.subject(), &config.address_sets) {
        Some(refusal) => Err(refusal),
        None => Ok(()),
    }
}

/// Judges a connection that a pod has opened to an endpoint, by its egress NetworkPolicy.
pub(crate) fn departure(
    config: &ProxyConfig,
    pod: &PodConfig,
    source: IpAddr,
    endpoint: SocketAddr,
) -> Result<(), Failure> {
    // NetworkPolicy cannot keep a pod from itself.
    if pod.addresses.contains(&endpoint.ip()) {
        return Ok(());
    }
    let subject = Subject {
        protocol: Protocol::Tcp,
        source,
        destination: endpoint.ip(),
        port: endpoint.port(),
        identity: None,
        request: None,
    };
    network_policy(config, &pod.egress, &subject, endpoint.ip())
}

fn network_policy(
    config: &ProxyConfig,
    policy: &NetworkPolicy,
    subject: &Subject<'_>,
    peer: IpAddr,
) -> Result<(), Failure> {
    let NetworkPolicy::Isolated { by, rules } = policy else {
        return Ok(());
    };
    if rules.decide(subject, &config.address_sets).is_allowed() {
        return Ok(());
    }
    Err(Failure {
        flag: ResponseFlag::NetworkPolicy,
        reason: format!(
            "{}: no rule allows {peer} on port {}",
            by.join(", "),
            subject.port
        ),
        policies: by.clone(),
        target: None,
        progress: None,
    })
}

/// Refuses what would lead the proxy back to itself.
pub(crate) fn not_own_port(pod: &PodConfig, destination: SocketAddr) -> Result<(), Failure> {
    let own = pod.addresses.contains(&destination.ip())
        || destination.ip().is_loopback()
        || destination.ip().is_unspecified();
    if own && OWN_PORTS.contains(&destination.port()) {
        return Err(Failure::new(
            ResponseFlag::OwnPort,
            format!("port {} is the proxy's own", destination.port()),
        ));
    }
    Ok(())
}

/// Refuses what is for somebody else.
pub(crate) fn is_for(pod: &PodConfig, destination: SocketAddr) -> Result<(), Failure> {
    if pod.addresses.contains(&destination.ip()) {
        return Ok(());
    }
    Err(Failure::new(
        ResponseFlag::NotThisPod,
        format!("{} is not an address of {}", destination.ip(), pod.name),
    ))
}
