//! A certificate authority for tests.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use heddle_identity::SpiffeId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyPair, SanType,
};
use rustls::{crypto::aws_lc_rs, pki_types::PrivateKeyDer, sign::CertifiedKey};

use crate::own::OwnCertificate;

pub(super) fn id(text: &str) -> SpiffeId {
    text.parse().expect("a SPIFFE id")
}

pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) pem: String,
}

/// What a leaf is to say.
pub(super) struct Leaf<'a> {
    pub(super) uris: &'a [&'a str],
    pub(super) from: SystemTime,
    pub(super) to: SystemTime,
}

pub(super) const HOUR: Duration = Duration::from_secs(3600);

impl<'a> Leaf<'a> {
    /// Valid for an hour on either side of now.
    pub(super) fn of(uris: &'a [&'a str]) -> Self {
        let now = SystemTime::now();
        Self {
            uris,
            from: now - HOUR,
            to: now + HOUR,
        }
    }
}

impl Authority {
    /// A root with a new key. Several may have the same name.
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("root").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Makes a leaf with its own key, whatever it says.
    pub(super) fn leaf(&self, leaf: &Leaf<'_>) -> Arc<OwnCertificate> {
        let key = KeyPair::generate().expect("key");
        let mut params = CertificateParams::default();
        params.subject_alt_names = leaf
            .uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().expect("ASCII")))
            .collect();
        params.not_before = leaf.from.into();
        params.not_after = leaf.to.into();
        let certificate = params.signed_by(&key, &self.issuer).expect("leaf");
        let key = CertifiedKey::from_der(
            vec![certificate.der().clone()],
            PrivateKeyDer::from(key),
            &aws_lc_rs::default_provider(),
        );
        Arc::new(OwnCertificate {
            key: Arc::new(key.expect("fits")),
            not_before: leaf.from,
            not_after: leaf.to,
        })
    }

    /// Signs a request as it stands; returns the chain as an issuer would send it.
    pub(super) fn sign(&self, csr_pem: &str, from: SystemTime, to: SystemTime) -> Vec<String> {
        let mut request = CertificateSigningRequestParams::from_pem(csr_pem).expect("a request");
        request.params.not_before = from.into();
        request.params.not_after = to.into();
        let certificate = request.signed_by(&self.issuer).expect("signed");
        vec![certificate.pem(), self.pem.clone()]
    }
}
