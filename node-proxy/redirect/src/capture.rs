//! Rules that bring a pod's TCP and DNS to the proxy.
//!
//! They are installed in the pod's own namespace, in one transaction, and may be installed again at any time: what counts is the
//! wanted state, not what happened before. Only connections that begin afterwards are captured; those that are open go on.
//!
//! While nobody listens on the proxy's ports, captured connections are refused: a proxy that is down lets nothing through
//! unjudged. No sysctl is changed.
//!
//! | what | goes to |
//! |---|---|
//! | TCP out | 15001; port 53: 15053 |
//! | UDP out, port 53 | 15053 |
//! | TCP in | 15006; port 15008: its own listener |
//!
//! Left alone are the proxy's own packets (mark 0x539), the pod talking to itself, and what comes from the node's own addresses
//! (the kubelet's probes; NetworkPolicy never forbids them). An application that may set packet marks (CAP_NET_ADMIN in the
//! pod's namespace) can leave the capture, as it could remove the rules; what it sends is still judged where it arrives.

mod render;
mod routes;

use std::net::IpAddr;

use crate::{
    CommandError, Netns,
    command::{ask_nft, tell_nft},
};

/// Where the proxy listens in a pod's namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// What the pod sends.
    pub outbound: u16,
    /// What the pod receives in plain text.
    pub inbound: u16,
    /// Mutual TLS; peers connect to it, nothing is redirected there.
    pub hbone: u16,
    /// What the pod asks of name servers, UDP and TCP.
    pub dns: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            outbound: 15001,
            inbound: 15006,
            hbone: 15008,
            dns: 15053,
        }
    }
}

/// What is captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaptureRules {
    /// Addresses of the pod's node, as the pod sees them; what comes from them is not captured.
    pub node_addresses: Vec<IpAddr>,
    /// Where the proxy listens.
    pub ports: Ports,
}

/// Installs the rules, or brings those that are there up to date. Blocks for some milliseconds.
///
/// # Errors
/// `nft` is missing, it or the kernel refuses; the namespace is gone. Then the rules are as they were, or complete but for routing,
/// without which the last leg to the application does not work: nothing gets through unjudged.
pub fn install(netns: &Netns, rules: &CaptureRules) -> Result<(), CommandError> {
    routes::install(netns)?;
    tell_nft(netns, &render::ruleset(rules))
}

/// Captures nothing any more, but keeps what captured connections that are open need: [`remove`] takes that away later.
///
/// # Errors
/// As [`install`].
pub fn release(netns: &Netns) -> Result<(), CommandError> {
    tell_nft(netns, &render::releasing())
}

/// Removes the rules; no error if they are not there. Connections that the proxy made with a foreign address end with them (see [`release`]).
///
/// # Errors
/// As [`install`].
pub fn remove(netns: &Netns) -> Result<(), CommandError> {
    tell_nft(netns, render::REMOVE)?;
    routes::remove(netns)
}

/// Whether rules (of any version of ours) and routes are there.
///
/// # Errors
/// As [`install`].
pub fn is_installed(netns: &Netns) -> Result<bool, CommandError> {
    let table = ask_nft(netns, &["list", "table", "inet", render::TABLE], "")?;
    Ok(table.success && routes::are_installed(netns)?)
}

#[cfg(test)]
mod tests;
