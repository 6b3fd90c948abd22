//! The HTTP request path: what becomes of one request, on its way out of a pod (or in through a Gateway) and on its way
//! into a pod.
//!
//! ```text
//! outbound: request ─▶ authority ─▶ route ─▶ headers, rewrite ─▶ [retry [try timeout [Forward]]] ─▶ response headers
//! inbound:  request ─▶ authority ─▶ authorization ─▶ who calls ─▶ Application ─▶ response
//! ```
//!
//! [`outbound()`] and [`inbound()`] always answer: what cannot be forwarded gets a local answer with a status, and one access
//! log line with a [`ResponseFlag`](heddle_telemetry::ResponseFlag) and the deciding object. This crate opens no socket:
//! whatever it sends goes through [`Forward`] or [`Application`]. It decides nothing itself either: routes and policies
//! are judged by `heddle-routing`. Called by `heddle-listeners` for each request; everything runs on one worker's thread.

mod answer;
mod application;
mod authority;
mod body;
mod client;
mod exchange;
mod forward;
mod forwarded;
mod hop;
mod inbound;
mod observed;
mod outbound;
mod replay;
mod retry;
mod sending;
mod spread;
mod tries;
mod upgrade;

pub use application::{AppConnection, Application, LocalExecutor};
pub use authority::OverTls;
pub use body::{boxed, empty, text};
pub use client::Client;
pub use forward::{Failure, Forward, UpstreamForward};
pub use heddle_upstream::{Body, BoxError};
pub use inbound::{Inbound, authorization_refusal, inbound};
pub use outbound::{Outbound, outbound};
pub use spread::share_of;
pub use upgrade::{OpenTunnel, Tunnel, TunnelRecord};

#[cfg(test)]
mod tests;
