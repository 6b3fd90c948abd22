//! Who signs.

use std::{future::Future, time::Duration};

use heddle_identity::SpiffeId;

/// Signs certificate requests.
pub trait Issue: Send + Sync + 'static {
    /// Asks for a certificate for `identity`. `validity` is a wish; the issuer may shorten it.
    ///
    /// Returns PEM texts: the leaf first, then what it was signed by, each with one or more certificates. The answer is
    /// checked by the caller (key, identity, validity), so an implementation need not.
    fn issue(
        &self,
        csr_pem: String,
        identity: &SpiffeId,
        validity: Duration,
    ) -> impl Future<Output = Result<Vec<String>, IssueError>> + Send;
}

/// Why no certificate was issued. Every kind is tried again after a pause: what is denied now may be allowed when the
/// control plane has heard of the pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The issuer does not want to.
    #[error("the issuer refused: {0}")]
    Denied(String),
    /// The issuer cannot be reached, or fails.
    #[error("the issuer is unavailable: {0}")]
    Unavailable(String),
    /// Our own credential for the issuer cannot be read.
    #[error("the token for the issuer cannot be read: {0}")]
    Token(String),
}
