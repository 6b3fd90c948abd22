//! A NetworkPolicy as it is written, checked and with its defaults.

use std::{net::IpAddr, sync::Arc};

use heddle_model::{ObjectKind, ObjectRef, PortRange, Transport};
use heddle_resources::{
    NetworkPolicy,
    k8s_openapi::{
        api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec},
        apimachinery::pkg::util::intstr::IntOrString,
    },
};
use ipnet::IpNet;

use super::groups::{Members, NamespaceScope};
use crate::{
    names::{RawKey, excerpt, no_port, object_key, port_number, transport},
    problem::Report,
    selector::Selector,
};

/// A policy.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) object: ObjectRef,
    pub(crate) namespace: Arc<str>,
    /// The pods that it applies to; `None`: unreadable.
    pub(crate) pods: Option<Selector>,
    /// `None`: it says nothing about what comes in.
    pub(crate) ingress: Option<Vec<Rule>>,
    /// `None`: it says nothing about what goes out.
    pub(crate) egress: Option<Vec<Rule>>,
}

impl Policy {
    /// Whether the meaning of its ingress rules differs from pod to pod.
    pub(crate) fn names_ingress_ports(&self) -> bool {
        let named = |rule: &Rule| match &rule.ports {
            PortSpecs::All => false,
            PortSpecs::These(ports) => ports
                .iter()
                .any(|port| matches!(port, PortSpec::Named { .. })),
        };
        self.ingress.iter().flatten().any(named)
    }
}

/// A rule that can be honoured.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) index: usize,
    /// The other side; `None`: anyone.
    pub(crate) peers: Option<Vec<PeerSpec>>,
    pub(crate) ports: PortSpecs,
}

/// A peer.
#[derive(Clone, Debug)]
pub(crate) enum PeerSpec {
    Pods(Members),
    Block { cidr: IpNet, except: Vec<IpNet> },
}

/// The ports of a rule.
#[derive(Debug)]
pub(crate) enum PortSpecs {
    All,
    These(Vec<PortSpec>),
}

/// A port of a rule.
#[derive(Debug)]
pub(crate) enum PortSpec {
    Numbers(PortRange),
    /// What the destination pod calls so.
    Named {
        field: String,
        name: Arc<str>,
        transport: Transport,
    },
}

type Broken = (String, String);

/// Reads a policy; `None` if it cannot even be named.
pub(crate) fn read(key: &RawKey, object: &NetworkPolicy, report: &mut Report) -> Option<Policy> {
    let of = object_key(key)
        .map_err(|(field, message)| report.add(field, message))
        .ok()?;
    let default = NetworkPolicySpec::default();
    let spec = object.spec.as_ref().unwrap_or(&default);
    let pods = match spec.pod_selector.as_ref().map(Selector::parse) {
        None => Some(Selector::default()),
        Some(Ok(selector)) => Some(selector),
        Some(Err((field, message))) => {
            let message =
                format!("{message}; every pod of the namespace is isolated and nothing is allowed");
            report.add(format!("spec.podSelector.{field}"), message);
            None
        }
    };
    let (of_ingress, of_egress) = directions(spec, report);
    let mut direction = |field: &str,
                         rules: Vec<(&[NetworkPolicyPeer], &[NetworkPolicyPort])>,
                         peers_field: &str| {
        let mut good = Vec::new();
        for (index, (peers, ports)) in rules.into_iter().enumerate() {
            match rule(
                index,
                peers,
                ports,
                peers_field,
                &format!("spec.{field}[{index}]"),
                &key.0,
            ) {
                Ok(rule) => good.push(rule),
                Err((at, message)) => report.add(at, format!("{message}; the rule allows nothing")),
            }
        }
        // With an unreadable selector nobody knows whom its rules were meant to open.
        if pods.is_some() { good } else { Vec::new() }
    };
    let ingress = of_ingress.then(|| {
        let rules = spec.ingress.iter().flatten();
        direction(
            "ingress",
            rules
                .map(|rule| (list(&rule.from), list(&rule.ports)))
                .collect(),
            "from",
        )
    });
    let egress = of_egress.then(|| {
        let rules = spec.egress.iter().flatten();
        direction(
            "egress",
            rules
                .map(|rule| (list(&rule.to), list(&rule.ports)))
                .collect(),
            "to",
        )
    });
    Some(Policy {
        object: ObjectRef {
            kind: ObjectKind::NetworkPolicy,
            key: of,
        },
        namespace: key.0.clone(),
        pods,
        ingress,
        egress,
    })
}

/// Missing and empty mean the same in all lists of a policy.
fn list<T>(list: &Option<Vec<T>>) -> &[T] {
    list.as_deref().unwrap_or_default()
}

/// policyTypes: by default ingress, and egress if there are egress rules.
fn directions(spec: &NetworkPolicySpec, report: &mut Report) -> (bool, bool) {
    let types = list(&spec.policy_types);
    if types.is_empty() {
        return (true, !list(&spec.egress).is_empty());
    }
    let (mut ingress, mut egress) = (false, false);
    for (index, name) in types.iter().enumerate() {
        match name.as_str() {
            "Ingress" => ingress = true,
            "Egress" => egress = true,
            other => {
                let message = format!(
                    "{} is neither Ingress nor Egress; to be safe it is taken for both",
                    excerpt(other)
                );
                report.add(format!("spec.policyTypes[{index}]"), message);
                (ingress, egress) = (true, true);
            }
        }
    }
    (ingress, egress)
}

fn rule(
    index: usize,
    peers: &[NetworkPolicyPeer],
    ports: &[NetworkPolicyPort],
    peers_field: &str,
    at: &str,
    namespace: &Arc<str>,
) -> Result<Rule, Broken> {
    let mut read_peers = Vec::new();
    for (number, one) in peers.iter().enumerate() {
        let field = format!("{at}.{peers_field}[{number}]");
        read_peers
            .push(peer(one, namespace).map_err(|(below, message)| (join(field, &below), message))?);
    }
    let mut read_ports = Vec::new();
    for (number, one) in ports.iter().enumerate() {
        let field = format!("{at}.ports[{number}]");
        read_ports.push(
            port(one, &field).map_err(|(below, message)| (join(field.clone(), &below), message))?,
        );
    }
    Ok(Rule {
        index,
        peers: (!peers.is_empty()).then_some(read_peers),
        ports: if ports.is_empty() {
            PortSpecs::All
        } else {
            PortSpecs::These(read_ports)
        },
    })
}

fn join(field: String, below: &str) -> String {
    if below.is_empty() {
        field
    } else {
        format!("{field}.{below}")
    }
}

fn peer(peer: &NetworkPolicyPeer, namespace: &Arc<str>) -> Result<PeerSpec, Broken> {
    let selects = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
    match &peer.ip_block {
        Some(_) if selects => Err((
            String::new(),
            "ipBlock stands alone: it excludes selectors".to_owned(),
        )),
        Some(block) => ip_block(block),
        None if !selects => Err((String::new(), "names no peer".to_owned())),
        None => {
            let below = |name: &str| {
                let name = name.to_owned();
                move |(field, message): Broken| (format!("{name}.{field}"), message)
            };
            let pods = peer
                .pod_selector
                .as_ref()
                .map(Selector::parse)
                .transpose()
                .map_err(below("podSelector"))?;
            let namespaces = peer
                .namespace_selector
                .as_ref()
                .map(Selector::parse)
                .transpose()
                .map_err(below("namespaceSelector"))?;
            Ok(PeerSpec::Pods(Members::Pods {
                namespaces: namespaces.map_or_else(
                    || NamespaceScope::Only(namespace.clone()),
                    NamespaceScope::Matching,
                ),
                pods: pods.unwrap_or_default(),
            }))
        }
    }
}

fn ip_block(block: &IPBlock) -> Result<PeerSpec, Broken> {
    let cidr = network(&block.cidr).map_err(|message| ("ipBlock.cidr".to_owned(), message))?;
    let mut except = Vec::new();
    for (index, text) in block.except.iter().flatten().enumerate() {
        let at = |message| (format!("ipBlock.except[{index}]"), message);
        let one = network(text).map_err(at)?;
        // The API demands a strict part of the block.
        if !cidr.contains(&one) || one == cidr {
            return Err(at(format!("{one} is not a part of {cidr}")));
        }
        except.push(one);
    }
    except.sort();
    except.dedup();
    Ok(PeerSpec::Block { cidr, except })
}

fn network(text: &str) -> Result<IpNet, String> {
    let net: IpNet = text
        .parse()
        .map_err(|_| format!("{} is not a network (10.0.0.0/8)", excerpt(text)))?;
    // `::ffff:10.0.0.0/104` would never equal an address that we see as 10.x.
    match net.addr() {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => {
            Err(format!("{} is an IPv4 network in IPv6 form", excerpt(text)))
        }
        _ => Ok(net.trunc()),
    }
}

fn port(port: &NetworkPolicyPort, at: &str) -> Result<PortSpec, Broken> {
    let broken = |field: &str, message: String| Err((field.to_owned(), message));
    let Some(transport) = transport(port.protocol.as_deref()) else {
        let written = port.protocol.as_deref().unwrap_or_default();
        return broken(
            "protocol",
            format!("{} is not TCP, UDP or SCTP", excerpt(written)),
        );
    };
    let range = |first, last| {
        PortSpec::Numbers(PortRange {
            transport,
            first,
            last,
        })
    };
    match (&port.port, port.end_port) {
        (None, None) => Ok(range(None, None)),
        (None, Some(_)) => broken("endPort", "needs a port".to_owned()),
        (Some(IntOrString::String(_)), Some(_)) => {
            broken("endPort", "needs a port that is a number".to_owned())
        }
        (Some(IntOrString::String(name)), None) if name.is_empty() => {
            broken("port", "is empty".to_owned())
        }
        (Some(IntOrString::String(name)), None) => Ok(PortSpec::Named {
            field: format!("{at}.port"),
            name: Arc::from(name.as_str()),
            transport,
        }),
        (Some(IntOrString::Int(first)), end) => {
            let Some(number) = port_number(*first) else {
                return broken("port", no_port(*first));
            };
            let end = end.unwrap_or(*first);
            match port_number(end) {
                None => broken("endPort", no_port(end)),
                Some(last) if last < number => {
                    broken("endPort", format!("{last} is less than the port {number}"))
                }
                Some(last) => Ok(range(Some(number), Some(last))),
            }
        }
    }
}
