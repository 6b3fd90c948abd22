//! Rules in the words of the model.
//!
//! Ports are always the destination's. For ingress that is the selected pod itself: its named ports become numbers. For egress it is each peer, and the same
//! name may be another number at each, so that one rule becomes several: one for the numbers that are written, and one for each number that a name means,
//! open only to the peers that mean it.

use std::collections::{BTreeMap, BTreeSet};

use heddle_model::{NetworkRule, Peer, PortNumber, PortRange, Ports, Transport};
use heddle_resources::Pod;

use super::{
    groups::{GroupKey, Groups, Members},
    read::{PeerSpec, Policy, PortSpec, PortSpecs, Rule},
};
use crate::{
    names::{excerpt, transport_name},
    pods,
    problem::Report,
};

/// The ingress rules for one selected pod.
pub(super) fn ingress(policy: &Policy, pod: &Pod) -> Vec<NetworkRule> {
    let rules = policy.ingress.iter().flatten();
    rules
        .map(|rule| {
            let resolve = |port: &PortSpec| match port {
                PortSpec::Numbers(range) => Some(*range),
                PortSpec::Named {
                    name, transport, ..
                } => pods::named_port(pod, name, *transport)
                    .map(|number| exactly(*transport, number)),
            };
            let ports = match &rule.ports {
                PortSpecs::All => Ports::All,
                PortSpecs::These(ports) => {
                    Ports::These(sorted(ports.iter().filter_map(resolve).collect()))
                }
            };
            network_rule(policy, rule, peers(rule), ports)
        })
        .collect()
}

/// The egress rules, the same for all selected pods.
pub(super) fn egress(policy: &Policy, groups: &Groups) -> Vec<NetworkRule> {
    let mut rules = Vec::new();
    for rule in policy.egress.iter().flatten() {
        let PortSpecs::These(ports) = &rule.ports else {
            rules.push(network_rule(policy, rule, peers(rule), Ports::All));
            continue;
        };
        let numbers: Vec<PortRange> = ports
            .iter()
            .filter_map(|port| match port {
                PortSpec::Numbers(range) => Some(*range),
                PortSpec::Named { .. } => None,
            })
            .collect();
        let named = named_egress(rule, groups);
        // A rule that means nothing at the moment still stands there, to be explained.
        if !numbers.is_empty() || named.is_empty() {
            rules.push(network_rule(
                policy,
                rule,
                peers(rule),
                Ports::These(sorted(numbers)),
            ));
        }
        for (range, peers) in named {
            let peers = peers.into_iter().collect();
            rules.push(network_rule(
                policy,
                rule,
                Some(peers),
                Ports::These(vec![range]),
            ));
        }
    }
    rules
}

fn named_egress(rule: &Rule, groups: &Groups) -> BTreeMap<PortRange, BTreeSet<Peer>> {
    let mut by_number: BTreeMap<PortRange, BTreeSet<Peer>> = BTreeMap::new();
    for (_, transport, group) in named_groups(rule) {
        for number in groups.numbers(&group) {
            let peer = Peer::Pods(group.set_name(Some(number)));
            by_number
                .entry(exactly(transport, number))
                .or_default()
                .insert(peer);
        }
    }
    by_number
}

/// The groups that an egress rule's named ports are looked up in, with the field that names them.
fn named_groups(rule: &Rule) -> Vec<(&str, Transport, GroupKey)> {
    let PortSpecs::These(ports) = &rule.ports else {
        return Vec::new();
    };
    let members: Vec<Members> = match &rule.peers {
        // Anyone: only pods have named ports.
        None => vec![Members::everyone()],
        Some(peers) => peers
            .iter()
            .map(|peer| match peer {
                PeerSpec::Pods(members) => members.clone(),
                PeerSpec::Block { cidr, except } => Members::Block {
                    cidr: *cidr,
                    except: except.clone(),
                },
            })
            .collect(),
    };
    let mut groups = Vec::new();
    for port in ports {
        if let PortSpec::Named {
            field,
            name,
            transport,
        } = port
        {
            for members in &members {
                let group = GroupKey {
                    members: members.clone(),
                    port: Some((name.clone(), *transport)),
                };
                groups.push((field.as_str(), *transport, group));
            }
        }
    }
    groups
}

/// The groups that a policy speaks of: (by selector alone, by selector and port name).
pub(super) fn groups(policy: &Policy) -> (BTreeSet<GroupKey>, BTreeSet<GroupKey>) {
    let (mut plain, mut named) = (BTreeSet::new(), BTreeSet::new());
    for rule in policy
        .ingress
        .iter()
        .flatten()
        .chain(policy.egress.iter().flatten())
    {
        for peer in rule.peers.iter().flatten() {
            if let PeerSpec::Pods(members) = peer {
                plain.insert(GroupKey {
                    members: members.clone(),
                    port: None,
                });
            }
        }
    }
    for rule in policy.egress.iter().flatten() {
        named.extend(named_groups(rule).into_iter().map(|(_, _, group)| group));
    }
    (plain, named)
}

/// Port names of egress rules that no peer has.
pub(super) fn unknown_egress_ports(policy: &Policy, groups: &Groups, report: &mut Report) {
    for rule in policy.egress.iter().flatten() {
        let mut fields: BTreeMap<&str, (bool, String)> = BTreeMap::new();
        for (field, transport, group) in named_groups(rule) {
            let name = group
                .port
                .as_ref()
                .map(|(name, _)| name.to_string())
                .unwrap_or_default();
            let entry = fields
                .entry(field)
                .or_insert_with(|| (false, nobody_has(&name, transport, "peer")));
            entry.0 |= !groups.numbers(&group).is_empty();
        }
        for (field, (_, message)) in fields.into_iter().filter(|(_, (known, _))| !known) {
            report.add(field, message);
        }
    }
}

pub(super) fn nobody_has(name: &str, transport: Transport, who: &str) -> String {
    format!(
        "no {who} has a {} port named {}; nothing is allowed by it",
        transport_name(transport),
        excerpt(name)
    )
}

fn exactly(transport: Transport, number: PortNumber) -> PortRange {
    PortRange {
        transport,
        first: Some(number),
        last: Some(number),
    }
}

fn sorted(mut ports: Vec<PortRange>) -> Vec<PortRange> {
    ports.sort();
    ports.dedup();
    ports
}

fn peers(rule: &Rule) -> Option<Vec<Peer>> {
    let written = rule.peers.as_ref()?;
    let peers: BTreeSet<Peer> = written
        .iter()
        .map(|peer| match peer {
            PeerSpec::Pods(members) => {
                let group = GroupKey {
                    members: members.clone(),
                    port: None,
                };
                Peer::Pods(group.set_name(None))
            }
            PeerSpec::Block { cidr, except } => Peer::Block {
                cidr: *cidr,
                except: except.clone(),
            },
        })
        .collect();
    Some(peers.into_iter().collect())
}

fn network_rule(
    policy: &Policy,
    rule: &Rule,
    peers: Option<Vec<Peer>>,
    ports: Ports,
) -> NetworkRule {
    NetworkRule {
        policy: policy.object.clone(),
        index: rule.index,
        peers,
        ports,
    }
}
