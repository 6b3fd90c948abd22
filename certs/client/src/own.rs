//! A certificate of our own, with its key.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use heddle_identity::{CertificateIdentityError, SpiffeId, spiffe_id_of};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::key::KeyRequest;

/// Why what the issuer sent cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCertificate {
    /// There is no certificate in it.
    #[error("the issuer sent no certificate")]
    Empty,
    /// It is no PEM.
    #[error("the issuer sent malformed PEM: {0}")]
    Pem(rustls::pki_types::pem::Error),
    /// It is no X.509 certificate.
    #[error("the issuer sent bytes that are no X.509 certificate")]
    Malformed,
    /// It names nobody of a mesh.
    #[error("the issued certificate: {0}")]
    Identity(#[from] CertificateIdentityError),
    /// It names somebody else than we asked for.
    #[error("asked for {asked}, the issuer sent {sent}")]
    OtherIdentity {
        /// Whom we asked for.
        asked: SpiffeId,
        /// Whom the certificate names.
        sent: SpiffeId,
    },
    /// It is for another key than ours.
    #[error("the issued certificate does not fit the key: {0}")]
    Key(rustls::Error),
    /// It is over already.
    #[error("the issued certificate is over already")]
    Expired,
}

/// A checked certificate with its chain and key.
pub(crate) struct OwnCertificate {
    pub(crate) key: Arc<CertifiedKey>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

impl OwnCertificate {
    /// Checks what the issuer sent: right identity, our key, not over. Whether our peers trust its root is theirs to say.
    pub(crate) fn new(
        identity: &SpiffeId,
        request: KeyRequest,
        issued: &[String],
        now: SystemTime,
        provider: &CryptoProvider,
    ) -> Result<Self, InvalidCertificate> {
        let chain = chain(issued)?;
        let leaf = chain.first().ok_or(InvalidCertificate::Empty)?;
        let sent = spiffe_id_of(leaf)?;
        if sent != *identity {
            return Err(InvalidCertificate::OtherIdentity {
                asked: identity.clone(),
                sent,
            });
        }
        let (not_before, not_after) = validity(leaf)?;
        if not_after <= now {
            return Err(InvalidCertificate::Expired);
        }
        let key = CertifiedKey::from_der(chain, request.into_private_key(), provider)
            .map_err(InvalidCertificate::Key)?;
        Ok(Self {
            key: Arc::new(key),
            not_before,
            not_after,
        })
    }

    /// The certificates to present, PEM.
    pub(crate) fn chain_pem(&self) -> String {
        let chain = self.key.cert.iter();
        chain
            .map(|certificate| pem::encode(&pem::Pem::new("CERTIFICATE", certificate.as_ref())))
            .collect()
    }

    pub(crate) fn is_valid_at(&self, now: SystemTime) -> bool {
        now < self.not_after
    }
}

/// The certificates to present: all that were sent, but no root (it would only cost bytes: a peer that does not have
/// it will not trust it).
fn chain(issued: &[String]) -> Result<Vec<CertificateDer<'static>>, InvalidCertificate> {
    let mut chain = Vec::new();
    for text in issued {
        for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
            let certificate = certificate.map_err(InvalidCertificate::Pem)?;
            if chain.is_empty() || !is_self_issued(&certificate)? {
                chain.push(certificate);
            }
        }
    }
    Ok(chain)
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, InvalidCertificate> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .map_err(|_| InvalidCertificate::Malformed)
}

fn is_self_issued(der: &CertificateDer<'_>) -> Result<bool, InvalidCertificate> {
    let certificate = parse(der)?;
    Ok(certificate.subject() == certificate.issuer())
}

fn validity(der: &CertificateDer<'_>) -> Result<(SystemTime, SystemTime), InvalidCertificate> {
    let certificate = parse(der)?;
    let time = |seconds: i64| {
        let seconds = u64::try_from(seconds).unwrap_or_default();
        SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or(InvalidCertificate::Malformed)
    };
    let validity = certificate.validity();
    Ok((
        time(validity.not_before.timestamp())?,
        time(validity.not_after.timestamp())?,
    ))
}
