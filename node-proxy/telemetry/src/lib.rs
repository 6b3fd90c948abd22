//! What the data path tells about itself: why something failed, how much of it there was, who did it.
//!
//! [`ResponseFlag`] is the one list of reasons; [`Metrics`] counts (Prometheus, `heddle_*`); [`AccessLog`] is one line for
//! each finished connection or request, written through `tracing` (target `access`), so that the subscriber decides
//! between text and JSON. This crate opens no socket, starts no task and reads no configuration. Everything on the data
//! path calls it; the agent serves what [`Metrics::encode`] returns.

mod access_log;
mod flag;
mod handles;
mod labels;
mod metrics;
mod series;

pub use access_log::{AccessLog, Direction, PeerName, Protocol};
pub use flag::ResponseFlag;
pub use labels::{DenialLabels, Label, RequestLabels, TcpLabels};
pub use metrics::{ActiveConnection, MAX_SERIES, Metrics};

#[cfg(test)]
mod tests;
