//! Heddle's node proxy under a control plane of others: the real program, driven by go-control-plane, on loopback.
//!
//! [`Node`] starts both and tells what the proxy said to what it was sent; [`resources`] makes what is sent, as any control plane
//! for Envoy would; [`apps`] are the servers behind the proxy and clients before it.

pub mod apps;
pub mod resources;

mod node;

pub use node::{Node, Variant, eventually, soon};
