//! Serving HTTP on a connection.
//!
//! - `usual`: HTTP/1.1 requests that everybody reads alike, without a task or buffer more than their connection's own.
//! - `serve`: all others, by hyper.
//! - `guard`, `framing`: what hyper does not refuse is refused in front of it.

mod framing;
mod guard;
mod serve;
mod usual;

pub(crate) use framing::Framing;
pub(crate) use serve::{HttpServer, Version, version_of};

#[cfg(test)]
mod tests;
