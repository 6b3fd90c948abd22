//! The way out: from a pod (or a Gateway) to an endpoint.
//!
//! [`Upstream`] chooses an endpoint, asks the origin's egress NetworkPolicy, connects (mutual TLS where the workload at the
//! address speaks it, else plain TCP), and sends bytes or HTTP requests. It never decides *which cluster* (that is routing),
//! never reads a user's bytes, and never falls back from mutual TLS to plain text.
//!
//! ```text
//!            clusters (endpoints, load)      policy (egress)       tunnels (HBONE pool) ─┐
//! connect ─┬─▶ choose ────────────────────▶ allowed? ───────────▶ transport ────────────┴─▶ BoxedIo
//! request ─┘                                                          └─▶ http (pools) ─▶ Answer
//! ```
//!
//! Everything lives on one worker (one thread, a `LocalSet`) and is shared with no other. Each socket, tunnel and pooled
//! connection belongs to one origin: the key of every pool begins with it ([`Origin`]).
//!
//! Used by `heddle-filters` (requests) and `heddle-listeners` (bytes).

mod attempt;
mod balance;
mod body;
mod clusters;
mod dial;
mod error;
mod ewma;
mod http;
mod origin;
mod policy;
mod rest;
mod settings;
mod target;
mod tunnels;
mod upstream;

pub use body::{Body, BoxError, empty_body, full_body};
pub use error::{Broken, ConnectError, DialError, Progress, RequestError};
pub use http::{
    Http1Connection, Http1Error, KeptHttp1, RESPONSE_HEADER_BYTES, Unanswered, http2_client,
    upgradable,
};
pub use origin::Origin;
pub use settings::UpstreamSettings;
pub use target::{Answer, BoxedIo, Connected, Destination, Io, Target};
pub use upstream::{Upstream, UpstreamCounts};

#[cfg(test)]
mod tests;
