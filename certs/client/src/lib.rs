//! Certificates of the pods on this node: asks for them, renews them, and turns them into TLS configurations.
//!
//! Private keys are made here and do not leave this crate, but for [`PemCertificate`]'s. An issuer ([`Issue`]) sees signing requests only; a caller sees
//! finished [`rustls`] configurations only. Whether a peer is trusted is decided in one place (`verify`): the path by
//! `rustls-webpki`, the name by `heddle-identity`. No DNS name and no SNI plays a part.
//!
//! ```text
//! want(identities) ─▶ renewal task ─▶ CSR ─▶ Issue ─▶ OwnCertificate ─┐
//! set_trust_bundle ─▶ Trust (live, read at each handshake) ───────────┴─▶ server_config / client_config
//! ```
//!
//! Used by `heddle-upstream` (as client), `heddle-listeners` (as server) and the node proxy's binary (wiring).

mod certificates;
mod configs;
mod error;
mod files;
mod grpc;
mod issue;
mod key;
mod own;
mod renewal;
mod schedule;
mod trust;
mod verify;
mod wanted;

pub use certificates::{CertificateState, Certificates, Settings};
pub use error::{CertError, PeerRefused};
pub use files::PemCertificate;
pub use grpc::{GrpcIssuer, Roots, Token};
pub use issue::{Issue, IssueError};
pub use own::InvalidCertificate;
pub use renewal::AttemptError;
pub use trust::InvalidTrustBundle;
pub use verify::peer_identity;

#[cfg(test)]
mod tests;
