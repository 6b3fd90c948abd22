//! Tests as nft expressions.
//!
//! An nft expression on an IPv4 address only matches IPv4 packets, and its negation too. So one test may need an expression for
//! each family, unless an earlier expression of the same rule has settled the family. Likewise for ports and protocols.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr, sync::Arc};

use heddle_routing::policy::{AddressSets, Protocol};
use ipnet::IpNet;

use super::condition::{Side, Test};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    /// The word of an address expression: `ip saddr`.
    pub(super) fn header(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }

    pub(super) fn set_type(self) -> &'static str {
        match self {
            Self::V4 => "ipv4_addr",
            Self::V6 => "ipv6_addr",
        }
    }

    fn only(self) -> &'static str {
        match self {
            Self::V4 => "meta nfproto ipv4",
            Self::V6 => "meta nfproto ipv6",
        }
    }
}

/// The word of a transport protocol.
pub(super) fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    }
}

/// What the expressions of a rule so far have settled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Settled {
    pub(super) family: Option<Family>,
    pub(super) protocol: Option<Protocol>,
}

/// One way in which a test holds.
#[derive(Clone, Debug)]
pub(super) struct Match {
    /// nft expressions; empty: always.
    pub(super) text: String,
    pub(super) settled: Settled,
}

/// nft names of address sets, by their names in the policy. A number each: nft allows neither all characters nor all lengths.
pub(super) struct SetNames<'a> {
    sets: &'a AddressSets,
    /// Sets that rules refer to.
    pub(super) used: BTreeMap<Arc<str>, usize>,
}

impl<'a> SetNames<'a> {
    pub(super) fn new(sets: &'a AddressSets) -> Self {
        Self {
            sets,
            used: BTreeMap::new(),
        }
    }

    /// The nft name of a set's addresses of one family, or `None` if there are none.
    fn refer(&mut self, name: &Arc<str>, family: Family) -> Option<String> {
        let mut addresses = self.sets.0.get(name)?.iter();
        if !addresses.any(|address| Family::of(*address) == family) {
            return None;
        }
        let next = self.used.len();
        let number = *self.used.entry(name.clone()).or_insert(next);
        Some(set_name(number, family))
    }
}

pub(super) fn set_name(number: usize, family: Family) -> String {
    format!("set{number}_{}", family.suffix())
}

/// All the ways in which a test holds (or does not, if negated), given what is settled. None: it cannot hold.
pub(super) fn matches(
    test: &Test,
    negated: bool,
    settled: Settled,
    names: &mut SetNames<'_>,
) -> Vec<Match> {
    match test {
        Test::Protocol(protocol) => protocol_match(*protocol, negated, settled),
        Test::Ports(ranges) => ports_match(ranges, negated, settled),
        Test::Blocks(side, blocks) => address_match(*side, negated, settled, |family| {
            block_operand(blocks, family)
        }),
        Test::Set(side, name) => address_match(*side, negated, settled, |family| {
            match names.refer(name, family) {
                Some(name) => Operand::These(format!("@{name}")),
                None => Operand::None,
            }
        }),
    }
}

/// The addresses of one family that a test is about.
enum Operand {
    None,
    Every,
    These(String),
}

fn block_operand(blocks: &[IpNet], family: Family) -> Operand {
    let blocks: Vec<IpNet> = blocks
        .iter()
        .filter(|block| Family::of(block.addr()) == family)
        .copied()
        .collect();
    // nft refuses overlapping elements.
    match IpNet::aggregate(&blocks).as_slice() {
        [] => Operand::None,
        [block] if block.prefix_len() == 0 => Operand::Every,
        [block] => Operand::These(block.to_string()),
        blocks => Operand::These(braces(blocks.iter().map(ToString::to_string))),
    }
}

fn address_match(
    side: Side,
    negated: bool,
    settled: Settled,
    mut operand: impl FnMut(Family) -> Operand,
) -> Vec<Match> {
    let field = match side {
        Side::Source => "saddr",
        Side::Destination => "daddr",
    };
    let only = |family: Family| match settled.family {
        Some(_) => String::new(),
        None => family.only().to_owned(),
    };
    Family::BOTH
        .into_iter()
        .filter(|family| settled.family.is_none_or(|wanted| wanted == *family))
        .filter_map(|family| {
            let text = match (operand(family), negated) {
                (Operand::None, false) | (Operand::Every, true) => return None,
                (Operand::None, true) | (Operand::Every, false) => only(family),
                (Operand::These(these), _) => {
                    let not = if negated { "!= " } else { "" };
                    format!("{} {field} {not}{these}", family.header())
                }
            };
            Some(Match {
                text,
                settled: Settled {
                    family: Some(family),
                    ..settled
                },
            })
        })
        .collect()
}

fn protocol_match(protocol: Protocol, negated: bool, settled: Settled) -> Vec<Match> {
    let word = protocol_word(protocol);
    let found = |text: String, protocol| {
        vec![Match {
            text,
            settled: Settled {
                protocol,
                ..settled
            },
        }]
    };
    match settled.protocol {
        Some(known) if (known == protocol) == negated => Vec::new(),
        Some(_) => found(String::new(), settled.protocol),
        None if negated => found(format!("meta l4proto != {word}"), None),
        None => found(format!("meta l4proto {word}"), Some(protocol)),
    }
}

/// The protocols that have ports where nft's `th dport` looks for them, and that policies can speak of.
const WITH_PORTS: &str = "{ tcp, udp, sctp }";

fn ports_match(ranges: &[(u16, u16)], negated: bool, settled: Settled) -> Vec<Match> {
    let ranges = merge(ranges);
    let operand = match ranges.as_slice() {
        [] if negated => {
            return vec![Match {
                text: String::new(),
                settled,
            }];
        }
        [] => return Vec::new(),
        [range] => range_text(*range),
        ranges => braces(ranges.iter().map(|range| range_text(*range))),
    };
    let not = if negated { "!= " } else { "" };
    let one = |text: String| Match { text, settled };
    match settled.protocol {
        Some(protocol) => vec![one(format!(
            "{} dport {not}{operand}",
            protocol_word(protocol)
        ))],
        None => {
            let mut found = vec![one(format!(
                "meta l4proto {WITH_PORTS} th dport {not}{operand}"
            ))];
            if negated {
                found.push(one(format!("meta l4proto != {WITH_PORTS}")));
            }
            found
        }
    }
}

fn range_text((first, last): (u16, u16)) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}

/// Sorted, without overlaps; ranges that end before they begin are empty.
fn merge(ranges: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut ranges: Vec<_> = ranges.iter().copied().filter(|(a, b)| a <= b).collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::new();
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(previous) if u32::from(first) <= u32::from(previous.1) + 1 => {
                previous.1 = previous.1.max(last);
            }
            _ => merged.push((first, last)),
        }
    }
    merged
}

/// `{ a, b }`
pub(super) fn braces(items: impl Iterator<Item = String>) -> String {
    let mut text = String::from("{ ");
    for (index, item) in items.enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        // Writing to a string cannot fail.
        let _ = write!(text, "{comma}{item}");
    }
    text.push_str(" }");
    text
}
