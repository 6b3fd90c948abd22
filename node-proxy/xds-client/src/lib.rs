//! The proxy's side of the xDS stream: subscribe, acknowledge, come back.
//!
//! A [`Client`] keeps one ADS stream of either [`Variant`] to a control plane and hands every response to a [`Handler`]. What was refused
//! is told to the control plane resource by resource; the rest of the response counts. When the stream is lost, nothing is
//! forgotten: the client comes back and says what it has. It knows names and versions of resources, never their meaning,
//! and it writes nothing to disk.
//!
//! Protocol: "xDS REST and gRPC protocol" (Envoy), delta and state of the world; back-off as in gRFC A57.

mod backoff;
mod client;
mod connection;
mod handler;
mod progress;
mod session;
mod status;
mod token;
mod variant;
mod world;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use client::{Client, Settings};
pub use connection::{Keepalive, Roots, Server, Tls};
pub use handler::Handler;
pub use heddle_proto::{Nack, Update};
pub use session::{Reaction, Session};
pub use status::{Status, StatusHandle};
pub use token::{FileToken, NoToken, TokenSource};
pub use variant::Variant;
pub use world::WorldSession;
