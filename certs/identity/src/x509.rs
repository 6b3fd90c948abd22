//! The identity that a certificate states.

use std::time::{Duration, SystemTime};

use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use crate::{InvalidSpiffeId, SpiffeId};

/// Why a certificate names nobody of the mesh.
#[derive(Debug, thiserror::Error)]
pub enum CertificateIdentityError {
    /// The bytes are no X.509 certificate.
    #[error("not an X.509 certificate")]
    Malformed,
    /// There is not exactly one URI name (X509-SVID section 2: exactly one).
    #[error("the certificate has {0} URI names, an X509-SVID has exactly one")]
    UriCount(usize),
    /// The URI is no SPIFFE id of our form.
    #[error(transparent)]
    Spiffe(#[from] InvalidSpiffeId),
}

/// Reads the SPIFFE id out of a DER-encoded certificate. Says nothing about who signed it.
pub fn spiffe_id_of(certificate_der: &[u8]) -> Result<SpiffeId, CertificateIdentityError> {
    let (_, certificate) = X509Certificate::from_der(certificate_der)
        .map_err(|_| CertificateIdentityError::Malformed)?;
    let uris: Vec<&str> = certificate
        .extensions()
        .iter()
        .filter_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    let [uri] = uris.as_slice() else {
        return Err(CertificateIdentityError::UriCount(uris.len()));
    };
    Ok(uri.parse()?)
}

/// When a DER-encoded certificate ceases to count (RFC 5280 section 4.1.2.5). Says nothing about who signed it.
pub fn not_after_of(certificate_der: &[u8]) -> Result<SystemTime, CertificateIdentityError> {
    let (_, certificate) = X509Certificate::from_der(certificate_der)
        .map_err(|_| CertificateIdentityError::Malformed)?;
    let seconds = u64::try_from(certificate.validity().not_after.timestamp());
    let since = Duration::from_secs(seconds.unwrap_or_default());
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .ok_or(CertificateIdentityError::Malformed)
}
