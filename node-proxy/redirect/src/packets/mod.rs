//! NetworkPolicy for what the proxy does not carry: UDP, SCTP and all else that is not TCP or ICMP.
//!
//! The same rules that the proxy applies to connections are compiled to nftables chains in the pod's namespace. TCP is left to
//! the proxy, except to port 53: that goes to the proxy's own name server, which knows no policy. ICMP is never touched.
//!
//! [`compile`] is pure; [`install`] replaces the table `inet heddle_policy` as a whole. Every packet of a flow in the direction in
//! which it began is judged, so that a changed policy also ends flows that are under way; replies are let through.
//!
//! What a rule asks that a packet cannot answer (who is it by certificate, which HTTP method) never allows, and with
//! [`RbacAction::Deny`](heddle_routing::policy::RbacAction::Deny) always refuses. The same goes for an address set that is not there.

mod chains;
mod condition;
mod matches;
mod render;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use heddle_routing::policy::{AddressSets, Protocol, Rbac};

use crate::{
    CommandError, Netns,
    command::{ask_nft, failure, tell_nft},
};

/// What is known about a pod when its packet rules are made.
#[derive(Clone, Copy, Debug)]
pub struct PacketPolicy<'a> {
    /// The pod's own addresses.
    pub pod_addresses: &'a [IpAddr],
    /// Addresses of its node; what comes from them is never refused.
    pub node_addresses: &'a [IpAddr],
    /// Rules for what the pod receives. `None`: not isolated, everything is allowed.
    pub ingress: Option<&'a Rbac>,
    /// Rules for what the pod sends. `None`: not isolated, everything is allowed.
    pub egress: Option<&'a Rbac>,
    /// What the rules' address sets mean.
    pub sets: &'a AddressSets,
    /// Addresses of Services, which rules never speak of: what is sent to one is allowed if it is to each of its endpoints.
    pub services: &'a [ServiceAddress],
}

/// A port of a Service at its virtual address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAddress {
    /// The Service's address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The pods behind it, at their own ports. None: nothing may be sent there.
    pub endpoints: Vec<SocketAddr>,
}

/// The packet rules of one pod, as nft reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    text: String,
    problems: Vec<String>,
}

impl Ruleset {
    /// What could not be said in packet rules, for the log. The rules are stricter for it, never laxer.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }
}

impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Packets refused since the rules were last installed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused {
    /// Sent to the pod.
    pub ingress: u64,
    /// Sent by the pod.
    pub egress: u64,
}

/// Makes the packet rules of a pod. Pure; equal input gives equal text.
pub fn compile(policy: &PacketPolicy<'_>) -> Ruleset {
    render::ruleset(policy)
}

/// Installs the rules in the pod's namespace in place of those that are there, in one transaction. Blocks for some milliseconds.
///
/// # Errors
/// `nft` is missing or refuses; the namespace is gone. Then the rules are as they were.
pub fn install(netns: &Netns, rules: &Ruleset) -> Result<(), CommandError> {
    tell_nft(netns, &rules.text)
}

/// Removes the rules; no error if there are none.
///
/// # Errors
/// As [`install`].
pub fn remove(netns: &Netns) -> Result<(), CommandError> {
    tell_nft(netns, render::REMOVE)
}

/// How many packets were refused since the rules were installed; zero if there are none.
///
/// # Errors
/// As [`install`].
pub fn refused(netns: &Netns) -> Result<Refused, CommandError> {
    Ok(Refused {
        ingress: packets_of(netns, render::REFUSED_INGRESS)?,
        egress: packets_of(netns, render::REFUSED_EGRESS)?,
    })
}

fn packets_of(netns: &Netns, counter: &str) -> Result<u64, CommandError> {
    let arguments = ["list", "counter", "inet", render::TABLE, counter];
    let answer = ask_nft(netns, &arguments, "")?;
    let mut words = answer.stdout.split_whitespace();
    let packets = words
        .find(|word| *word == "packets")
        .and_then(|_| words.next())
        .and_then(|count| count.parse().ok());
    match packets {
        Some(packets) => Ok(packets),
        // The pod is not isolated.
        None if answer.stderr.contains("No such file") => Ok(0),
        None => Err(failure(&arguments, &answer)),
    }
}

#[cfg(test)]
mod tests;
