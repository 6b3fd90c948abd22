//! DNS for the pods of the mesh.
//!
//! Answers the names of Services by the Kubernetes DNS specification (schema 1.1.0) from the proxy's configuration, and
//! forwards everything else, byte for byte, to the cluster's resolver: to one of the pods behind its address, if that is a
//! Service's. Each pod has a server of its own, on sockets that were opened in its network namespace; this crate never opens a
//! namespace or a listener itself.
//!
//! ```text
//! query ─▶ answer (pure) ─┬─▶ local answer
//!                         ├─▶ alias: local CNAME + forwarded rest
//!                         └─▶ forward
//! ```
//!
//! The agent is its only caller.

mod answer;
mod forward;
mod message;
mod records;
mod resolvers;
mod server;
mod zone;

pub use answer::{Outcome, answer};
pub use forward::{BoxFuture, Dial, ForwardError, Transport};
pub use server::{Allowed, Context, serve_tcp, serve_udp};
pub use zone::Zone;

#[cfg(test)]
mod tests;
