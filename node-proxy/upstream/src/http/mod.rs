//! HTTP over the same connections: which protocol, which pooled connection, what to do when one dies.
//!
//! - `client`: how HTTP is spoken to a server, with its limits.
//! - `form`: a request in the form of the protocol that it is sent in.
//! - `http1`, `http2`: connections and their pools.
//! - `exchange`: one request and its response in an HTTP/1.1 connection.
//! - `kept`: HTTP/1.1 over connections that somebody else makes.
//! - `upgrade`: a request that changes the protocol of its connection.
//! - `send`: one request, from the choice of an endpoint to the response's head.

mod client;
mod exchange;
pub(crate) mod form;
mod http1;
mod http2;
mod kept;
mod pools;
mod send;
mod upgrade;

pub use client::{RESPONSE_HEADER_BYTES, http2_client};
pub use exchange::{Http1Error, Unanswered};
pub use kept::{Http1Connection, KeptHttp1};
pub(crate) use pools::HttpPools;
pub use upgrade::upgradable;
