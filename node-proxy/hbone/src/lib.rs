//! HBONE: one user connection for each HTTP/2 CONNECT stream, many of them in one connection, as Istio's ztunnel speaks it.
//!
//! This crate knows streams, windows, half-closes, and how bytes get from one connection to another. It speaks no TLS and knows
//! neither identities nor policy: both ends are given a connection that is authenticated already. It never opens a socket.
//!
//! ```text
//! client::connect(io) ─▶ Tunnel ─ open(address) ─▶ HboneStream ═ CONNECT ═ Request ─ accept() ─▶ HboneStream ◀─ server::serve(io)
//!                                                                             └─ refuse(status)
//! ```
//!
//! `heddle-upstream` uses [`client`], `heddle-listeners` uses [`server`] and [`copy_bidirectional`]; what either of them copies is a
//! [`ByteStream`], and what it speaks TLS over with others than node proxies (those have `heddle-tls`) is in a [`ReadAhead`].

mod ahead;
pub mod client;
mod copy;
mod error;
mod keepalive;
mod pieces;
mod seldom;
pub mod server;
mod settings;
mod stream;
mod through;
mod turns;

pub use ahead::ReadAhead;
pub use copy::{CopyCounts, CopyError, CopyLimits, Side, copy_bidirectional};
pub use error::{HboneError, OpenError};
pub use pieces::{ByteStream, Room};
pub use seldom::Seldom;
pub use settings::Settings;
pub use stream::{HboneReader, HboneStream, HboneWriter};
pub use through::pour;

/// The port on which every pod of the mesh takes HBONE (mutual TLS).
pub const PORT: u16 = 15008;

#[cfg(test)]
mod tests;
