//! Identities: who a workload is, as it stands in its certificate.
//!
//! A [`SpiffeId`] is parsed once and then trusted. This crate does no I/O and knows neither Kubernetes nor xDS; everyone
//! may depend on it. Signing is `heddle-issuer`'s work, asking for certificates `heddle-cert-client`'s.
//!
//! ```text
//! spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>
//! ```

mod name;
mod spiffe;
mod x509;

pub use name::{InvalidName, Namespace, ServiceAccount};
pub use spiffe::{InvalidSpiffeId, SpiffeId, TrustDomain};
pub use x509::{CertificateIdentityError, not_after_of, spiffe_id_of};

#[cfg(test)]
mod tests;
