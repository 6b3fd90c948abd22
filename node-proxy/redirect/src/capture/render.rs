//! The text of the capture rules.

use std::net::IpAddr;

use super::CaptureRules;
use crate::{MARK_MASK, PROXY_CONNMARK, PROXY_MARK};

pub(super) const TABLE: &str = "heddle";

/// `add` first, so that `delete` finds something: nftables 1.0 has no `destroy`.
pub(super) const REMOVE: &str = "add table inet heddle\ndelete table inet heddle\n";

/// A connection's first packet. Later ones must not be looked at: a connection that was there before the rules would be
/// redirected in its middle.
const SYN: &str = "tcp flags & (fin|syn|rst|ack) == syn";

/// One transaction that replaces whatever table of ours there is.
pub(super) fn ruleset(rules: &CaptureRules) -> String {
    let ports = rules.ports;
    let (outbound, inbound, hbone, dns) = (ports.outbound, ports.inbound, ports.hbone, ports.dns);
    let mark = format!("meta mark & {MARK_MASK:#x} == {PROXY_MARK:#x}");
    let others = !MARK_MASK;
    let from_node = from_node(&rules.node_addresses);
    format!(
        "{REMOVE}\
table inet {TABLE} {{
\tchain remember {{
\t\ttype filter hook prerouting priority mangle; policy accept;
\t\t{mark} ct direction original ct mark set ct mark & {others:#x} | {PROXY_CONNMARK:#x}
\t\tiifname != \"lo\" ct direction original tcp dport {{ {outbound}, {inbound}, {dns} }} drop
\t}}
\tchain recall {{
\t\ttype route hook output priority mangle; policy accept;
\t\tct mark & {MARK_MASK:#x} == {PROXY_CONNMARK:#x} ct direction reply meta mark set meta mark & {others:#x} | {PROXY_CONNMARK:#x}
\t\tct direction original tcp dport {{ {outbound}, {inbound} }} fib daddr type local reject with tcp reset
\t}}
\tchain inbound {{
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tiifname \"lo\" return
\t\t{mark} return
\t\ttcp dport {hbone} return
{from_node}\t\t{SYN} redirect to :{inbound}
\t}}
\tchain outbound {{
\t\ttype nat hook output priority -100; policy accept;
\t\t{mark} return
\t\tfib daddr type local return
\t\tudp dport 53 redirect to :{dns}
\t\ttcp dport 53 {SYN} redirect to :{dns}
\t\t{SYN} redirect to :{outbound}
\t}}
}}
"
    )
}

/// Only what open connections need: what brings the replies to the proxy's own connections back to it, and chains of the kind nat, without
/// which the kernel translates nothing any more, not even what it has begun to.
pub(super) fn releasing() -> String {
    let mark = format!("meta mark & {MARK_MASK:#x} == {PROXY_MARK:#x}");
    let others = !MARK_MASK;
    format!(
        "{REMOVE}\
table inet {TABLE} {{
\tchain remember {{
\t\ttype filter hook prerouting priority mangle; policy accept;
\t\t{mark} ct direction original ct mark set ct mark & {others:#x} | {PROXY_CONNMARK:#x}
\t}}
\tchain recall {{
\t\ttype route hook output priority mangle; policy accept;
\t\tct mark & {MARK_MASK:#x} == {PROXY_CONNMARK:#x} ct direction reply meta mark set meta mark & {others:#x} | {PROXY_CONNMARK:#x}
\t}}
\tchain inbound {{
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t}}
\tchain outbound {{
\t\ttype nat hook output priority -100; policy accept;
\t}}
}}
"
    )
}

/// Rules that let the node's own addresses through.
fn from_node(addresses: &[IpAddr]) -> String {
    let mut addresses = addresses.to_vec();
    addresses.sort();
    addresses.dedup();
    addresses
        .iter()
        .map(|address| match address {
            IpAddr::V4(v4) => format!("\t\tip saddr {v4} return\n"),
            IpAddr::V6(v6) => format!("\t\tip6 saddr {v6} return\n"),
        })
        .collect()
}
