//! The rules of the xDS protocol, each as a test that any xDS server can be put to.
//!
//! A rule ([`rules`]) is told in terms of a [`Client`](client::Client) in one of four [`Variant`]s, and of the [`World`] that the
//! [`Server`](server::Server) under test is told to serve. It learns about the server by gRPC only. Servers are Heddle's
//! own ([`heddle`]) and go-control-plane ([`go_control_plane`]), which proves that the rules are not merely our own reading.
//! What compares a node proxy with an Envoy takes its control plane from here as well ([`fixed`]), and what starts programs its [`ports`].
//!
//! Source of the rules: Envoy's "xDS REST and gRPC protocol", gRFCs A27, A57 and A88, xRFC TP3.

#![allow(clippy::unwrap_used, reason = "a test's own failures may stop it")]

pub mod client;
pub mod fixed;
pub mod go_control_plane;
pub mod heddle;
pub mod ports;
pub mod rules;
pub mod run;
pub mod server;
pub mod variant;
pub mod world;

pub use variant::Variant;
pub use world::World;
