//! NetworkPolicy.

use std::{collections::BTreeMap, net::IpAddr};

use heddle_model::{AddressSetName, NetworkRule, Peer, PortNumber, PortRange, Ports, Transport};
use heddle_proto::{
    envoy::{
        config::rbac::v3::{
            Permission, Policy, Principal, permission::Rule, principal::Identifier,
        },
        r#type::v3::Int32Range,
    },
    heddle::v1::{DestinationAddressSet, SourceAddressSet, TransportProtocol, transport_protocol},
};

use super::{
    Rules, all_ids, all_of, any_permission, any_principal, not, not_id, one_id, one_of, permission,
    principal,
};
use crate::wire::{cidr, extension};

/// Who may connect to an isolated pod.
pub(crate) fn ingress_rules(rules: &[NetworkRule]) -> Rules {
    let mut policies = BTreeMap::new();
    for rule in rules {
        let principals = match &rule.peers {
            None => vec![any_principal()],
            Some(peers) => peers.iter().map(source).collect(),
        };
        let permissions = match &rule.ports {
            Ports::All => vec![any_permission()],
            Ports::These(ranges) => ranges.iter().map(port).collect(),
        };
        // rbac.v3 wants at least one of each; a rule without can match nothing (a named port that nobody has).
        if !permissions.is_empty() && !principals.is_empty() {
            policies.insert(
                name(rule, "ingress"),
                Policy {
                    permissions,
                    principals,
                    ..Policy::default()
                },
            );
        }
    }
    Rules { policies }
}

/// The same for one TCP port of a server that knows no set of addresses beside its rules, and no matcher of ours: `addresses` tells what a
/// selector means at present.
pub(crate) fn ingress_rules_at(
    rules: &[NetworkRule],
    port: PortNumber,
    addresses: impl Fn(&AddressSetName) -> Vec<IpAddr>,
) -> Rules {
    let of_port = rules.iter().filter(|rule| match &rule.ports {
        Ports::All => true,
        Ports::These(ranges) => ranges.iter().any(|range| holds(range, port)),
    });
    let mut policies = BTreeMap::new();
    for rule in of_port {
        let principals: Vec<_> = match &rule.peers {
            None => vec![any_principal()],
            Some(peers) => peers
                .iter()
                .flat_map(|peer| match peer {
                    Peer::Pods(set) => addresses(set).into_iter().map(exactly).collect(),
                    Peer::Block { .. } => vec![source(peer)],
                })
                .collect(),
        };
        if !principals.is_empty() {
            let policy = Policy {
                permissions: vec![any_permission()],
                principals,
                ..Policy::default()
            };
            policies.insert(name(rule, "ingress"), policy);
        }
    }
    Rules { policies }
}

/// Whether a TCP port is one of these.
fn holds(range: &PortRange, port: PortNumber) -> bool {
    let (first, last) = (range.first, range.last.or(range.first));
    range.transport == Transport::Tcp
        && first.is_none_or(|first| first <= port)
        && last.is_none_or(|last| port <= last)
}

fn exactly(address: IpAddr) -> Principal {
    principal(Identifier::DirectRemoteIp(cidr(&address.into())))
}

/// Where an isolated pod may connect to. What the model took apart, because a named port has another number at each peer, is
/// one policy again: a request is allowed if any of its permissions holds, and peers are part of them.
pub(crate) fn egress_rules(rules: &[NetworkRule]) -> Rules {
    let mut policies = BTreeMap::new();
    for rule in rules {
        let Some(permission) = egress_permission(rule) else {
            continue;
        };
        let policy = policies
            .entry(name(rule, "egress"))
            .or_insert_with(|| Policy {
                principals: vec![any_principal()],
                ..Policy::default()
            });
        policy.permissions.push(permission);
    }
    Rules { policies }
}

/// `None`: nothing can match.
fn egress_permission(rule: &NetworkRule) -> Option<Permission> {
    let mut conditions = Vec::new();
    if let Some(peers) = &rule.peers {
        conditions.push(peers.iter().map(destination).collect::<Vec<_>>());
    }
    if let Ports::These(ranges) = &rule.ports {
        conditions.push(ranges.iter().map(port).collect());
    }
    if conditions.iter().any(Vec::is_empty) {
        return None;
    }
    if conditions.is_empty() {
        return Some(any_permission());
    }
    Some(all_of(conditions.into_iter().map(one_of).collect()))
}

/// One name for each rule that the user wrote.
fn name(rule: &NetworkRule, direction: &str) -> String {
    format!("{} {direction} rule {}", rule.policy, rule.index)
}

fn source(peer: &Peer) -> Principal {
    match peer {
        Peer::Pods(set) => {
            let matcher = SourceAddressSet {
                name: set.to_string(),
            };
            principal(Identifier::Custom(extension(
                "heddle.source_address_set",
                &matcher,
            )))
        }
        Peer::Block {
            cidr: block,
            except,
        } => {
            let within = |block| principal(Identifier::DirectRemoteIp(cidr(block)));
            if except.is_empty() {
                return within(block);
            }
            let excepted = except.iter().map(within).collect();
            all_ids(vec![within(block), not_id(one_id(excepted))])
        }
    }
}

fn destination(peer: &Peer) -> Permission {
    match peer {
        Peer::Pods(set) => {
            let matcher = DestinationAddressSet {
                name: set.to_string(),
            };
            permission(Rule::Matcher(extension(
                "heddle.destination_address_set",
                &matcher,
            )))
        }
        Peer::Block {
            cidr: block,
            except,
        } => {
            let within = |block| permission(Rule::DestinationIp(cidr(block)));
            if except.is_empty() {
                return within(block);
            }
            let excepted = except.iter().map(within).collect();
            all_of(vec![within(block), not(one_of(excepted))])
        }
    }
}

fn port(range: &PortRange) -> Permission {
    let protocol = match range.transport {
        Transport::Tcp => transport_protocol::Protocol::Tcp,
        Transport::Udp => transport_protocol::Protocol::Udp,
        Transport::Sctp => transport_protocol::Protocol::Sctp,
    };
    let matcher = TransportProtocol {
        protocol: protocol.into(),
    };
    let mut conditions = vec![permission(Rule::Matcher(extension(
        "heddle.transport_protocol",
        &matcher,
    )))];
    if let Some(first) = range.first {
        let last = range.last.unwrap_or(first);
        conditions.push(permission(Rule::DestinationPortRange(Int32Range {
            start: first.get().into(),
            // Exclusive (type.v3.Int32Range: half-open).
            end: i32::from(last.get()) + 1,
        })));
    }
    all_of(conditions)
}
