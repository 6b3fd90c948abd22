//! The server over real sockets, with Envoy's generated client.

#![allow(
    clippy::unwrap_used,
    reason = "tests may be short about what cannot happen in them"
)]

mod admission;
mod bad_input;
mod client_status;
mod connections;
mod hostile;
mod streams;
mod support;
