//! Rules as conditions on packets: no `Not` but at the leaves, nothing a packet cannot answer.

use std::{net::IpAddr, sync::Arc};

use heddle_routing::policy::{
    AddressSets, Permission, Policy, Principal, Protocol, Rbac, RbacAction,
};
use ipnet::IpNet;

/// A condition on a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// All hold; with none: always.
    All(Vec<Self>),
    /// At least one holds; with none: never.
    Any(Vec<Self>),
    /// A test, or its opposite.
    Leaf { test: Test, negated: bool },
}

/// What can be asked of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Test {
    /// The address is in one of the blocks.
    Blocks(Side, Vec<IpNet>),
    /// The address is in the named set.
    Set(Side, Arc<str>),
    /// The destination port is in one of the ranges.
    Ports(Vec<(u16, u16)>),
    /// The transport protocol.
    Protocol(Protocol),
}

/// Which of a packet's two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

/// A packet, as far as conditions look at it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
}

/// Turns policies into conditions.
pub(super) struct Reader<'a> {
    /// What the names of sets mean; one that is not there cannot be answered.
    pub(super) sets: &'a AddressSets,
    /// What to make of a question that cannot be answered, whether it is negated or not.
    unanswerable: Condition,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sets: &'a AddressSets, action: RbacAction) -> Self {
        let unanswerable = match action {
            RbacAction::Allow => Condition::Any(Vec::new()),
            RbacAction::Deny => Condition::All(Vec::new()),
        };
        Self { sets, unanswerable }
    }

    pub(super) fn policy(&self, policy: &Policy) -> Condition {
        let permissions = policy.permissions.iter().map(|p| self.permission(p, false));
        let principals = policy.principals.iter().map(|p| self.principal(p, false));
        Condition::All(vec![
            Condition::Any(permissions.collect()),
            Condition::Any(principals.collect()),
        ])
    }

    fn permission(&self, permission: &Permission, negated: bool) -> Condition {
        let each =
            |inner: &[Permission]| inner.iter().map(|p| self.permission(p, negated)).collect();
        match permission {
            Permission::Any => always(!negated),
            Permission::All(inner) => junction(!negated, each(inner)),
            Permission::OneOf(inner) => junction(negated, each(inner)),
            Permission::Not(inner) => self.permission(inner, !negated),
            Permission::DestinationBlock(block) => leaf(blocks(Side::Destination, *block), negated),
            Permission::DestinationSet(name) => self.set(Side::Destination, name, negated),
            Permission::DestinationPorts(first, last) => {
                leaf(Test::Ports(vec![(*first, *last)]), negated)
            }
            Permission::Protocol(protocol) => leaf(Test::Protocol(*protocol), negated),
            Permission::Header(_) | Permission::Path(_) => self.unanswerable.clone(),
        }
    }

    fn principal(&self, principal: &Principal, negated: bool) -> Condition {
        let each = |inner: &[Principal]| inner.iter().map(|p| self.principal(p, negated)).collect();
        match principal {
            Principal::Any => always(!negated),
            Principal::All(inner) => junction(!negated, each(inner)),
            Principal::OneOf(inner) => junction(negated, each(inner)),
            Principal::Not(inner) => self.principal(inner, !negated),
            Principal::SourceBlock(block) => leaf(blocks(Side::Source, *block), negated),
            Principal::SourceSet(name) => self.set(Side::Source, name, negated),
            Principal::Authenticated(_) => self.unanswerable.clone(),
        }
    }

    fn set(&self, side: Side, name: &Arc<str>, negated: bool) -> Condition {
        if self.sets.0.contains_key(name) {
            leaf(Test::Set(side, name.clone()), negated)
        } else {
            self.unanswerable.clone()
        }
    }
}

fn always(holds: bool) -> Condition {
    junction(holds, Vec::new())
}

/// `All` if `all`, else `Any`: De Morgan's laws turn the one into the other.
fn junction(all: bool, inner: Vec<Condition>) -> Condition {
    if all {
        Condition::All(inner)
    } else {
        Condition::Any(inner)
    }
}

fn leaf(test: Test, negated: bool) -> Condition {
    Condition::Leaf { test, negated }
}

fn blocks(side: Side, block: IpNet) -> Test {
    Test::Blocks(side, vec![block.trunc()])
}

impl Packet {
    fn address(&self, side: Side) -> IpAddr {
        match side {
            Side::Source => self.source,
            Side::Destination => self.destination,
        }
    }
}

impl Condition {
    /// Whether it holds for a packet.
    pub(super) fn holds(&self, packet: &Packet, sets: &AddressSets) -> bool {
        match self {
            Self::All(inner) => inner.iter().all(|c| c.holds(packet, sets)),
            Self::Any(inner) => inner.iter().any(|c| c.holds(packet, sets)),
            Self::Leaf { test, negated } => test.holds(packet, sets) != *negated,
        }
    }
}

impl Test {
    fn holds(&self, packet: &Packet, sets: &AddressSets) -> bool {
        match self {
            Self::Blocks(side, blocks) => {
                let address = packet.address(*side);
                blocks.iter().any(|block| block.contains(&address))
            }
            Self::Set(side, name) => sets.contains(name, packet.address(*side)),
            Self::Ports(ranges) => ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&packet.port)),
            Self::Protocol(protocol) => *protocol == packet.protocol,
        }
    }
}

/// Whether the rules allow a packet.
pub(super) fn allows(rbac: &Rbac, packet: &Packet, sets: &AddressSets) -> bool {
    let reader = Reader::new(sets, rbac.action);
    let matched = rbac
        .policies
        .iter()
        .any(|policy| reader.policy(policy).holds(packet, sets));
    matched == (rbac.action == RbacAction::Allow)
}
