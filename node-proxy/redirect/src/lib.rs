//! Network namespaces, capture and packet rules: everything of the node proxy that the kernel does.
//!
//! The proxy works *inside* each pod's network namespace: its listeners, its sockets to upstreams and the nftables rules
//! that bring the pod's traffic to it are all there, so it needs no rule on the host and works with any CNI.
//!
//! - [`Netns`]: enters a namespace for the length of a closure.
//! - [`socket`]: makes sockets in a namespace, with the marks and options that the rules expect.
//! - [`handover`]: gives listening sockets to the process that comes after this one.
//! - [`capture`]: rules that bring a pod's TCP and DNS to the proxy.
//! - [`packets`]: NetworkPolicy for what the proxy does not carry (UDP, SCTP), compiled to nftables.
//!
//! This crate never decides what is allowed and never reads a byte of a connection. Its effects are confined to the
//! namespace that it is given; [`capture::remove`] and [`packets::remove`] leave that as they found it. It is used by the
//! node proxy's binary, its listeners and its upstreams, and by the testbed. It has no unsafe code of its own.
//!
//! Needs `nft` (nftables 1.0 or later) in the path, and CAP_NET_ADMIN and CAP_SYS_ADMIN over the namespace.

pub mod capture;
mod command;
#[cfg(test)]
mod golden;
pub mod handover;
mod netlink;
mod netns;
pub mod packets;
pub mod socket;

pub use command::CommandError;
pub use netns::{Netns, NetnsError, NetnsId};

/// What marks the proxy's own packets, so that they are not captured again (low 12 bits of the packet mark; Istio's value).
pub const PROXY_MARK: u32 = 0x539;

/// What marks, in connection tracking, a connection that the proxy opened with a foreign source address; replies to it
/// are routed to the proxy and not out of the pod.
pub const PROXY_CONNMARK: u32 = 0x111;

/// The bits of a mark that are ours.
pub const MARK_MASK: u32 = 0xfff;

/// The routing table whose only route makes every address local.
pub const ROUTE_TABLE: u32 = 100;
