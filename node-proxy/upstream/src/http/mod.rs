//! HTTP over the same connections: which protocol, which pooled connection, what to do when one dies.
//!
//! - `form`: a request in the form of the protocol that it is sent in.
//! - `http1`, `http2`: connections and their pools.
//! - `send`: one request, from the choice of an endpoint to the response's head.

pub(crate) mod form;
mod http1;
mod http2;
mod pools;
mod send;

pub(crate) use pools::HttpPools;
