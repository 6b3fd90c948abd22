//! HBONE: one user connection for each HTTP/2 CONNECT stream, many of them in one connection, as Istio's ztunnel speaks it.
//!
//! This crate knows streams, windows and half-closes. It knows neither TLS nor identities nor policy: both ends are
//! given a connection that is authenticated already. It never opens a socket.
//!
//! ```text
//! client::connect(io) ─▶ Tunnel ─ open(address) ─▶ HboneStream ═ CONNECT ═ Request ─ accept() ─▶ HboneStream ◀─ server::serve(io)
//!                                                                             └─ refuse(status)
//! ```
//!
//! `heddle-upstream` uses [`client`], `heddle-listeners` uses [`server`], both use [`copy_bidirectional`].

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

pub use ahead::ReadAhead;
pub use copy::{CopyCounts, CopyError, CopyLimits, Side, copy_bidirectional};
pub use error::{HboneError, OpenError};
pub use pieces::{ByteStream, Room};
pub use seldom::Seldom;
pub use settings::Settings;
pub use stream::{HboneReader, HboneStream, HboneWriter};

/// The port on which every pod of the mesh takes HBONE (mutual TLS).
pub const PORT: u16 = 15008;

#[cfg(test)]
mod tests;
