//! The text of a pod's packet rules.

use std::fmt::Write as _;

use heddle_routing::policy::{Rbac, RbacAction};

use super::{
    PacketPolicy, Ruleset, ServiceAddress,
    chains::Chains,
    condition::{Packet, Reader, allows},
    matches::{Family, SetNames, braces, protocol_word, set_name},
};
use crate::{MARK_MASK, PROXY_MARK};

pub(super) const TABLE: &str = "heddle_policy";
pub(super) const REFUSED_INGRESS: &str = "refused_ingress";
pub(super) const REFUSED_EGRESS: &str = "refused_egress";

/// `add` first, so that `delete` finds something: nftables 1.0 has no `destroy`.
pub(super) const REMOVE: &str = "add table inet heddle_policy\ndelete table inet heddle_policy\n";

/// Answers to what was let through. The other direction is judged packet by packet.
const REPLIES: &str = "ct direction reply ct state { established, related } accept";

pub(super) fn ruleset(policy: &PacketPolicy<'_>) -> Ruleset {
    let mut text = REMOVE.to_owned();
    let mut problems = Vec::new();
    if policy.ingress.is_some() || policy.egress.is_some() {
        let mut chains = Chains {
            names: SetNames::new(policy.sets),
            list: Vec::new(),
        };
        if let Some(rbac) = policy.ingress {
            let before = ingress_exceptions(policy);
            direction("ingress", &before, rbac, policy, &mut chains, &mut problems);
        }
        if let Some(rbac) = policy.egress {
            let before = egress_exceptions(policy, rbac);
            direction("egress", &before, rbac, policy, &mut chains, &mut problems);
        }
        table(&mut text, policy, &chains);
    }
    Ruleset { text, problems }
}

fn ingress_exceptions(policy: &PacketPolicy<'_>) -> Vec<String> {
    let mut rules = vec![
        "type filter hook input priority filter; policy accept;".to_owned(),
        "iifname \"lo\" accept".to_owned(),
        "meta l4proto { tcp, icmp, ipv6-icmp } accept".to_owned(),
        REPLIES.to_owned(),
    ];
    for family in Family::BOTH {
        let mut addresses: Vec<_> = policy
            .node_addresses
            .iter()
            .filter(|address| Family::of(**address) == family)
            .collect();
        addresses.sort();
        addresses.dedup();
        if !addresses.is_empty() {
            let these = braces(addresses.iter().map(ToString::to_string));
            rules.push(format!("{} saddr {these} accept", family.header()));
        }
    }
    rules
}

fn egress_exceptions(policy: &PacketPolicy<'_>, rbac: &Rbac) -> Vec<String> {
    let mut rules = vec![
        // Before anything is redirected: packets still say where the pod wants them to go.
        "type filter hook output priority mangle; policy accept;".to_owned(),
        "oifname \"lo\" accept".to_owned(),
        format!("meta mark & {MARK_MASK:#x} == {PROXY_MARK:#x} accept"),
        "meta l4proto { icmp, ipv6-icmp } accept".to_owned(),
        "tcp dport != 53 accept".to_owned(),
        REPLIES.to_owned(),
    ];
    for allowed in [true, false] {
        for family in Family::BOTH {
            let mut services: Vec<_> = policy
                .services
                .iter()
                .filter(|service| Family::of(service.address) == family)
                .filter(|service| may_be_sent_to(service, policy, rbac) == allowed)
                .map(|service| {
                    let protocol = protocol_word(service.protocol);
                    format!("{} . {protocol} . {}", service.address, service.port)
                })
                .collect();
            services.sort();
            services.dedup();
            if services.is_empty() {
                continue;
            }
            let these = braces(services.into_iter());
            let verdict = if allowed {
                "accept comment \"Service\"".to_owned()
            } else {
                format!("counter name \"{REFUSED_EGRESS}\" drop comment \"Service\"")
            };
            let header = family.header();
            rules.push(format!(
                "{header} daddr . meta l4proto . th dport {these} {verdict}"
            ));
        }
    }
    rules
}

/// A Service may be sent to if each of its endpoints may.
fn may_be_sent_to(service: &ServiceAddress, policy: &PacketPolicy<'_>, rbac: &Rbac) -> bool {
    !service.endpoints.is_empty()
        && service.endpoints.iter().all(|endpoint| {
            let destination = endpoint.ip();
            let family = Family::of(destination);
            let own = policy.pod_addresses.iter().copied();
            let Some(source) = own.into_iter().find(|own| Family::of(*own) == family) else {
                return false;
            };
            let packet = Packet {
                source,
                destination,
                port: endpoint.port(),
                protocol: service.protocol,
            };
            allows(rbac, &packet, policy.sets)
        })
}

fn direction(
    name: &str,
    before: &[String],
    rbac: &Rbac,
    policy: &PacketPolicy<'_>,
    chains: &mut Chains<'_>,
    problems: &mut Vec<String>,
) {
    let refuse = format!("counter name \"refused_{name}\" drop");
    let reader = Reader::new(policy.sets, rbac.action);
    let base = chains.open(name.to_owned());
    chains.list[base].rules.extend_from_slice(before);
    for (number, rule) in rbac.policies.iter().enumerate() {
        let verdict = match rbac.action {
            RbacAction::Allow => format!("counter accept {}", comment(&rule.name)),
            RbacAction::Deny => format!("{refuse} {}", comment(&rule.name)),
        };
        let label = format!("{name}_{number}");
        let condition = reader.policy(rule);
        if chains.add(base, &label, &condition, &verdict).is_err() {
            problems.push(format!("{}: nested too deeply for packet rules", rule.name));
            if rbac.action == RbacAction::Deny {
                chains.list[base].rules.push(verdict);
            }
        }
    }
    let last = match rbac.action {
        RbacAction::Allow => refuse,
        RbacAction::Deny => "accept".to_owned(),
    };
    chains.list[base].rules.push(last);
}

/// A comment that says where a rule comes from. Names come from outside and must not end the string they stand in.
fn comment(name: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || " /._:@=,!()-".contains(*c);
    let name: String = name.chars().filter(allowed).take(120).collect();
    format!("comment \"{name}\"")
}

fn table(text: &mut String, policy: &PacketPolicy<'_>, chains: &Chains<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "table inet {TABLE} {{");
    for counter in [REFUSED_INGRESS, REFUSED_EGRESS] {
        let _ = writeln!(text, "\tcounter {counter} {{\n\t}}");
    }
    sets(text, policy, chains);
    // A chain must be there before another jumps to it.
    for chain in chains.list.iter().rev() {
        let _ = writeln!(text, "\tchain {} {{", chain.name);
        for rule in &chain.rules {
            let _ = writeln!(text, "\t\t{rule}");
        }
        text.push_str("\t}\n");
    }
    text.push_str("}\n");
}

fn sets(text: &mut String, policy: &PacketPolicy<'_>, chains: &Chains<'_>) {
    let mut used: Vec<_> = chains.names.used.iter().collect();
    used.sort_by_key(|(_, number)| **number);
    for (name, number) in used {
        for family in Family::BOTH {
            let addresses = policy
                .sets
                .0
                .get(name)
                .into_iter()
                .flat_map(|set| set.iter());
            let elements: Vec<_> = addresses
                .filter(|address| Family::of(**address) == family)
                .map(ToString::to_string)
                .collect();
            if elements.is_empty() {
                continue;
            }
            let _ = writeln!(
                text,
                "\tset {} {{\n\t\ttype {}\n\t\t{}\n\t\telements = {}\n\t}}",
                set_name(*number, family),
                family.set_type(),
                comment(name),
                braces(elements.into_iter()),
            );
        }
    }
}
