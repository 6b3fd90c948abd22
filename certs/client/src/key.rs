//! Keys, and the requests to have them signed.

use heddle_identity::SpiffeId;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use rustls::pki_types::PrivateKeyDer;

/// A fresh private key (ECDSA P-256) with the request to sign it.
///
/// rcgen wipes its copy when the key pair is dropped; the copy that goes into a TLS configuration is held by aws-lc,
/// which wipes it too.
pub(crate) struct KeyRequest {
    key: KeyPair,
    /// PKCS#10, PEM.
    pub(crate) csr_pem: String,
}

impl KeyRequest {
    /// Makes a key for an identity. The SPIFFE id is the only name; the subject stays empty (X509-SVID section 2).
    pub(crate) fn new(identity: &SpiffeId) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
        let csr_pem = params.serialize_request(&key)?.pem()?;
        Ok(Self { key, csr_pem })
    }

    /// The private key, PKCS#8, PEM.
    pub(crate) fn private_key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The private key, PKCS#8.
    pub(crate) fn into_private_key(self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from(self.key)
    }
}
