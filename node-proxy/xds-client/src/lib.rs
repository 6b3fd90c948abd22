//! The node proxy's end of the xDS stream: delta ADS.
//!
//! Subscribes, hands every response to a [`Handler`], acknowledges what it took and refuses, resource by resource, what it did not. A
//! stream that ends is opened again with what is still held, and nothing is forgotten meanwhile: a control plane that is gone
//! changes nothing for traffic. This crate knows no resource type's content; the configuration store is its handler, the agent its caller.
//!
//! ```text
//! Client::run ─▶ connect ─▶ session (pure): requests to send ◀─ responses, subscriptions ─▶ Handler
//! ```

mod client;
mod session;
mod status;

pub use client::{BoxFuture, Client, ClientSettings, Connect, ConnectError};
pub use session::{Handler, Refusal, ResourceUpdate, Subscription, TypeUpdate};
pub use status::{Status, TypeStatus};

#[cfg(test)]
mod tests;
