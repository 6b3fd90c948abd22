//! Accepting: connections that pods open, that pods receive, and that come in on the node's own addresses.
//!
//! ```text
//! pod ─▶ 15001 outbound ─▶ which Service? ─▶ HTTP ─▶ filters ─┐
//!                                         └▶ bytes ───────────┴─▶ upstream ═ HBONE ═▶ 15008 mtls ─▶ judge ─▶ the pod's application
//!                                               plain text from outside the mesh ─▶ 15006 inbound ─┘
//! ```
//!
//! Four loops ([`serve_outbound`], [`serve_inbound`], [`serve_mtls`], [`serve_bound`]), each given a listener that is bound
//! already, each run by the agent on every worker inside a `LocalSet`. A connection's identity is the namespace it was
//! accepted in or the certificate it was proven with, never an address or a header. Every refusal is one access log line with a
//! flag and the deciding object. Which route, which endpoint and which rule is decided elsewhere (`heddle-routing`,
//! `heddle-upstream`); nothing here is remembered beyond a connection, and [`Worker::enforce_policy`] ends connections that a
//! later policy refuses.

mod accept;
mod application;
mod bound;
mod classify;
mod connection;
mod data_path;
mod detect;
mod dial;
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod inbound;
mod judge;
mod live;
mod mtls;
mod outbound;
mod prefixed;
mod record;
mod relay;
mod settings;
mod worker;

pub use bound::{BoundContext, serve_bound};
pub use connection::{Accepted, ConnectionInfo};
pub use data_path::DataPath;
pub use inbound::serve_inbound;
pub use mtls::serve_mtls;
pub use outbound::serve_outbound;
pub use settings::{HttpSettings, Settings};
pub use worker::{PodContext, Worker};

#[cfg(test)]
mod tests;
