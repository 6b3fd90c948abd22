//! One signing key with its certificate.

use std::net::IpAddr;

use heddle_identity::{SpiffeId, TrustDomain};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer as Signer,
    KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, string::Ia5String,
};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate authority's key and certificate.
pub struct Authority {
    signer: Signer<'static, KeyPair>,
    key_pem: String,
    certificate_pem: String,
    not_after: OffsetDateTime,
}

/// Why an authority cannot be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The library refuses to sign.
    #[error(transparent)]
    Rcgen(#[from] rcgen::Error),
    /// The PEM holds no certificate.
    #[error("the CA certificate cannot be read: expected a PEM-encoded X.509 certificate")]
    Certificate,
    /// The PEM holds no private key.
    #[error(
        "the CA's private key cannot be read: expected one PEM-encoded key (PKCS#8, PKCS#1 or SEC1)"
    )]
    Key,
    /// It may not sign.
    #[error(
        "the certificate is not a CA's: basicConstraints CA:TRUE is missing (RFC 5280 section 4.2.1.9)"
    )]
    NotACa,
    /// The two do not belong together.
    #[error("the CA's private key does not belong to its certificate")]
    KeyMismatch,
    /// Its time is over.
    #[error("the CA's certificate has expired at {0}; renew it")]
    Expired(OffsetDateTime),
}

/// For how long a certificate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) not_before: OffsetDateTime,
    pub(crate) not_after: OffsetDateTime,
}

impl Authority {
    /// Makes a new self-signed root (ECDSA P-256).
    pub(crate) fn generate(
        trust_domain: &TrustDomain,
        period: Period,
    ) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let mut params = base(period)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, trust_domain.as_str());
        name.push(DnType::CommonName, "Heddle root");
        let certificate = params.self_signed(&key)?;
        Self::load(&certificate.pem(), &key.serialize_pem())
    }

    /// Reads a CA's certificate (the first of the PEM) and its private key.
    pub fn load(certificate_pem: &str, key_pem: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key_pem).map_err(|_| AuthorityError::Key)?;
        let block = pem::parse(certificate_pem).map_err(|_| AuthorityError::Certificate)?;
        let (_, certificate) =
            X509Certificate::from_der(block.contents()).map_err(|_| AuthorityError::Certificate)?;
        if !certificate.is_ca() {
            return Err(AuthorityError::NotACa);
        }
        if certificate.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::KeyMismatch);
        }
        let not_after = certificate.validity().not_after.to_datetime();
        Ok(Self {
            not_after,
            key_pem: key.serialize_pem(),
            certificate_pem: pem::encode(&block),
            signer: Signer::from_ca_cert_pem(&pem::encode(&block), key)?,
        })
    }

    /// Signs a workload's certificate: an X509-SVID with one URI name (X509-SVID sections 2 and 4).
    pub(crate) fn sign_workload(
        &self,
        key: &impl PublicKeyData,
        identity: &SpiffeId,
        period: Period,
    ) -> Result<String, AuthorityError> {
        let uri = Ia5String::try_from(identity.to_string())?;
        self.sign_leaf(key, vec![SanType::URI(uri)], period)
    }

    /// Signs a server's certificate for host names and addresses, and its identity.
    pub(crate) fn sign_server(
        &self,
        key: &impl PublicKeyData,
        identity: &SpiffeId,
        hosts: &[String],
        period: Period,
    ) -> Result<String, AuthorityError> {
        let mut names = vec![SanType::URI(Ia5String::try_from(identity.to_string())?)];
        for host in hosts {
            names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(Ia5String::try_from(host.clone())?),
            });
        }
        self.sign_leaf(key, names, period)
    }

    fn sign_leaf(
        &self,
        key: &impl PublicKeyData,
        names: Vec<SanType>,
        period: Period,
    ) -> Result<String, AuthorityError> {
        let mut params = base(Period {
            not_after: period.not_after.min(self.not_after),
            ..period
        })?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.subject_alt_names = names;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        Ok(params.signed_by(key, &self.signer)?.pem())
    }

    /// Its certificate, PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key, PEM (PKCS#8); only for the store.
    pub(crate) fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// When it ceases to count.
    pub fn not_after(&self) -> OffsetDateTime {
        self.not_after
    }
}

fn base(period: Period) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.not_before = period.not_before;
    params.not_after = period.not_after;
    // 127 random bits, positive (CA/Browser Forum: at least 64).
    let serial: u128 = rand::random::<u128>() >> 1;
    params.serial_number = Some(SerialNumber::from_slice(&serial.to_be_bytes()));
    Ok(params)
}
