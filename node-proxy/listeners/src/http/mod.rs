//! Serving HTTP on a connection: hyper, with what hyper does not refuse refused in front of it.

mod framing;
mod guard;
mod serve;

pub(crate) use framing::Framing;
pub(crate) use serve::{HttpServer, Version, version_of};

#[cfg(test)]
mod tests;
