//! NetworkPolicy.

use heddle_model::{NetworkRule, Peer, PortRange, Ports, Transport};
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
    collect(rules, "ingress", |rule| {
        let principals = match &rule.peers {
            None => vec![any_principal()],
            Some(peers) => peers.iter().map(source).collect(),
        };
        let permissions = match &rule.ports {
            Ports::All => vec![any_permission()],
            Ports::These(ranges) => ranges.iter().map(port).collect(),
        };
        (permissions, principals)
    })
}

/// Where an isolated pod may connect to.
pub(crate) fn egress_rules(rules: &[NetworkRule]) -> Rules {
    collect(rules, "egress", |rule| {
        let mut conditions = Vec::new();
        let destinations = rule
            .peers
            .as_ref()
            .map(|peers| peers.iter().map(destination));
        let ports = match &rule.ports {
            Ports::All => None,
            Ports::These(ranges) => Some(ranges.iter().map(port)),
        };
        let impossible = destinations.as_ref().is_some_and(|list| list.len() == 0)
            || ports.as_ref().is_some_and(|list| list.len() == 0);
        conditions.extend(destinations.map(|list| one_of(list.collect())));
        conditions.extend(ports.map(|list| one_of(list.collect())));
        let permissions = match (impossible, conditions.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => vec![any_permission()],
            (false, false) => vec![all_of(conditions)],
        };
        (permissions, vec![any_principal()])
    })
}

fn collect(
    rules: &[NetworkRule],
    direction: &str,
    conditions: impl Fn(&NetworkRule) -> (Vec<Permission>, Vec<Principal>),
) -> Rules {
    let policies = rules
        .iter()
        .filter_map(|rule| {
            let (permissions, principals) = conditions(rule);
            // rbac.v3 wants at least one of each; a rule without can match nothing (a named port that nobody has).
            (!permissions.is_empty() && !principals.is_empty()).then(|| {
                let policy = Policy {
                    permissions,
                    principals,
                    ..Policy::default()
                };
                (
                    format!("{} {direction} rule {}", rule.policy, rule.index),
                    policy,
                )
            })
        })
        .collect();
    Rules { policies }
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
