//! The mesh's certificate authority: checks who asks, signs, and rotates the root.
//!
//! Nothing of a signing request is believed but its public key; the identity comes from the caller's authentication and from where
//! pods run. Roots rotate through an overlap: a new root is trusted everywhere before it signs, and an old one is trusted until the last
//! certificate that it signed has ended. Private keys of workloads never come here.
//!
//! ```text
//! CreateCertificate ─▶ CallerNode (which node?) ─▶ Pace (too often?) ─▶ Placement (may it ask for this identity?) ─▶ Issuer::sign
//! ```
//!
//! The control plane is the only user:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use heddle_issuer::{CertificateService, CallerNode, Issuer, Placement, Settings};
//! # fn example(caller: Arc<dyn CallerNode>, placement: Arc<dyn Placement>) -> Result<(), Box<dyn std::error::Error>> {
//! let trust_domain = "cluster.local".parse()?;
//! let issuer = Arc::new(Issuer::open("/var/lib/heddle/ca".as_ref(), trust_domain, Settings::default())?);
//! let bundle = issuer.trust_bundle(); // a watch channel: PEM of all trusted roots
//! let service = CertificateService::new(issuer, caller, placement).into_service();
//! // tonic::transport::Server::builder().add_service(service) ...
//! # Ok(()) }
//! ```

mod authority;
mod csr;
mod issuer;
mod pace;
mod rotation;
mod service;
mod store;

pub use authority::{Authority, AuthorityError};
pub use csr::{CsrError, PublicKey};
pub use issuer::{Chain, Issuer, IssuerError, ServingCertificate, Settings};
pub use pace::Pace;
pub use rotation::{RootId, RootState, RootTimes, Rotation, RotationSettings, Step};
pub use service::{CallerNode, CertificateService, Outcome, Placement, Signed};
pub use store::StoreError;

#[cfg(test)]
mod tests;
