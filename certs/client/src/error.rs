//! What can go wrong with a certificate, our own or a peer's.

use std::{fmt, io, sync::Arc, time::Duration};

use heddle_identity::{CertificateIdentityError, SpiffeId, TrustDomain};
use rustls::{CertificateError, OtherError};

/// Why there is no TLS configuration for an identity.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CertError {
    /// No certificate came within the waiting limit.
    #[error("no certificate for {identity} after {waited:?}: {cause}")]
    Unavailable {
        /// For whom.
        identity: SpiffeId,
        /// How long the caller waited.
        waited: Duration,
        /// The last failure to get one, or that nobody asked for one.
        cause: Arc<str>,
    },
    /// No root of trust came within the waiting limit, so nobody could be authenticated.
    #[error("no trust bundle after {waited:?}")]
    NoTrustBundle {
        /// How long the caller waited.
        waited: Duration,
    },
    /// The TLS library refused the configuration.
    #[error("TLS configuration: {0}")]
    Tls(Arc<rustls::Error>),
}

/// Why a peer's certificate was refused. [`Self::of`] finds it in the error that a TLS handshake ends with.
#[derive(Clone, thiserror::Error)]
pub enum PeerRefused {
    /// The mesh's roots are not known (yet), so nobody can be authenticated.
    #[error("the trust bundle is empty")]
    NoTrustBundle,
    /// The path to a root does not hold for a reason that TLS has no own word for.
    #[error("certificate path: {0}")]
    Path(webpki::Error),
    /// It names nobody of a mesh.
    #[error("{0}")]
    Identity(Arc<CertificateIdentityError>),
    /// It is of another trust domain than ours.
    #[error("{found} is not of the trust domain {expected}")]
    TrustDomain {
        /// Whom the certificate names.
        found: SpiffeId,
        /// Our trust domain.
        expected: TrustDomain,
    },
    /// It is somebody else than expected.
    #[error("expected {expected}, found {found}")]
    OtherPeer {
        /// Whom the certificate names.
        found: SpiffeId,
        /// Who is meant to be there.
        expected: SpiffeId,
    },
    /// The connection has no peer certificate (the handshake is not finished, or no certificate was asked for).
    #[error("no peer certificate")]
    Absent,
}

impl PeerRefused {
    /// The reason in the error of a handshake (tokio-rustls wraps it in an I/O error). `None`: the handshake failed for another
    /// reason; an expired certificate and an unknown issuer have words of their own in `rustls::CertificateError`.
    pub fn of(error: &io::Error) -> Option<&Self> {
        match error.get_ref()?.downcast_ref()? {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
                other.downcast_ref()
            }
            _ => None,
        }
    }
}

/// In the words of `Display`: `rustls` prints the reasons of others with `Debug`, and they end up in logs.
impl fmt::Debug for PeerRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
