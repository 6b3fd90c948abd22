//! Nodes and pods as network namespaces on one machine: what `heddle demo` and the scenarios stand on.
//!
//! The testbed runs in fresh mount, network and process namespaces (and, without root, in a user namespace) that [`enter`] makes by
//! running the program again. The kernel removes all of it (links, rules, processes, mounts) when that process ends, however it ends:
//! nothing needs to be cleaned up, and nothing can be left behind.
//!
//! ```text
//! fabric (172.18.0.1, bridge) ─┬─ node-a 172.18.0.11 ─┬─ pod 10.244.1.2
//!    control plane, demo       │                      └─ pod 10.244.1.3
//!                              └─ node-b 172.18.0.12 ─── pod 10.244.2.2
//! ```
//!
//! It knows nothing of the mesh: it gives out namespaces and runs commands in them.

mod attach;
mod command;
mod enter;
mod network;
mod process;
mod sniffer;
mod topology;

pub use attach::{Running, attach, running};
pub use enter::{Ended, enter, enter_capturing, is_inside, leftovers, missing_tools};
pub use network::{FABRIC_ADDRESS, NETNS_FOLDER, Testbed};
pub use process::Process;
pub use sniffer::{Seen, Sniffer};
pub use topology::{Node, Pod};
