//! The chained CNI plugin, and how it gets onto a node.
//!
//! ```text
//! runtime ─ CNI (environment, JSON on stdin) ─▶ plugin ─ protocol (unix socket) ─▶ node proxy
//! installer ─▶ the node's CNI folders: the binary, and an entry in the first network configuration
//! ```
//!
//! [`plugin`] makes a new pod wait until its capture stands. [`install`] puts it in place and keeps it there. [`protocol`] is what
//! plugin and node proxy say to each other; the node proxy uses that module only.
//!
//! It never enters a network namespace, changes no interface, route or rule, and hands the result of the plugins before it on as
//! it came.

pub mod conflist;
pub mod install;
pub mod plugin;
pub mod protocol;
