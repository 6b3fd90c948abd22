//! What we take from a signing request: the public key, and nothing else.

use heddle_identity::SpiffeId;
use rcgen::SubjectPublicKeyInfo;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{
        OID_PKCS1_RSASSAPSS, OID_PKCS1_SHA256WITHRSA, OID_PKCS1_SHA384WITHRSA,
        OID_PKCS1_SHA512WITHRSA, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ECDSA_WITH_SHA384,
        OID_SIG_ED25519, Oid,
    },
    prelude::FromDer,
    public_key::PublicKey as ParsedKey,
};

/// Largest request that we read, in bytes of PEM: RSA-8192 with room to spare.
const LIMIT: usize = 16 * 1024;

/// What proves that the sender holds the key. The parser would take SHA-1 with RSA as well, for which collisions can be bought (RFC 9155);
/// RSASSA-PSS it takes with SHA-2 only.
const SIGNATURES: [Oid<'static>; 7] = [
    OID_SIG_ECDSA_WITH_SHA256,
    OID_SIG_ECDSA_WITH_SHA384,
    OID_SIG_ED25519,
    OID_PKCS1_SHA256WITHRSA,
    OID_PKCS1_SHA384WITHRSA,
    OID_PKCS1_SHA512WITHRSA,
    OID_PKCS1_RSASSAPSS,
];

/// Why a signing request is refused.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    /// Longer than any honest request.
    #[error("the signing request has {0} bytes, at most {LIMIT} are read")]
    TooLarge(usize),
    /// Not PEM, or not a PKCS#10 request.
    #[error("not a PEM-encoded PKCS#10 signing request (RFC 2986)")]
    Malformed,
    /// Its sender does not hold the private key.
    #[error("the signing request's signature is wrong: it was not made with the key that it holds")]
    Signature,
    /// A weak or unknown signature.
    #[error(
        "the signing request is signed by the algorithm {0}, which proves too little: use SHA-256, SHA-384, SHA-512 or Ed25519"
    )]
    SignatureAlgorithm(String),
    /// A weak or unknown key.
    #[error(
        "keys of this type are not signed: use ECDSA P-256 or P-384, Ed25519, or RSA of at least 2048 bits"
    )]
    KeyType,
    /// It asks for somebody else.
    #[error("the signing request names {found}, but {wanted} was asked for")]
    OtherName {
        /// Who is in the request.
        found: String,
        /// Who the caller said it is for.
        wanted: SpiffeId,
    },
}

/// A public key whose private half the caller has shown to hold.
#[derive(Debug)]
pub struct PublicKey(pub(crate) SubjectPublicKeyInfo);

impl PublicKey {
    /// Takes the key out of a signing request. Names in the request must be absent or be exactly the wanted identity.
    pub fn from_csr(pem_text: &str, wanted: &SpiffeId) -> Result<Self, CsrError> {
        if pem_text.len() > LIMIT {
            return Err(CsrError::TooLarge(pem_text.len()));
        }
        let block = pem::parse(pem_text).map_err(|_| CsrError::Malformed)?;
        let is_request = matches!(
            block.tag(),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST"
        );
        let Ok((rest, request)) = X509CertificationRequest::from_der(block.contents()) else {
            return Err(CsrError::Malformed);
        };
        if !is_request || !rest.is_empty() {
            return Err(CsrError::Malformed);
        }
        let info = &request.certification_request_info.subject_pki;
        check_key(&info.parsed().map_err(|_| CsrError::KeyType)?)?;
        let algorithm = &request.signature_algorithm.algorithm;
        if !SIGNATURES.contains(algorithm) {
            return Err(CsrError::SignatureAlgorithm(algorithm.to_id_string()));
        }
        request
            .verify_signature()
            .map_err(|_| CsrError::Signature)?;
        check_names(&request, wanted)?;
        let key = SubjectPublicKeyInfo::from_der(info.raw).map_err(|_| CsrError::KeyType)?;
        Ok(Self(key))
    }
}

fn check_key(key: &ParsedKey<'_>) -> Result<(), CsrError> {
    match key {
        ParsedKey::RSA(rsa) if rsa.key_size() >= 2048 => Ok(()),
        ParsedKey::EC(point) if matches!(point.key_size(), 256 | 384) => Ok(()),
        // Ed25519 has no parameters to parse; x509-parser hands over the raw 32 bytes.
        ParsedKey::Unknown(bytes) if bytes.len() == 32 => Ok(()),
        _ => Err(CsrError::KeyType),
    }
}

fn check_names(request: &X509CertificationRequest<'_>, wanted: &SpiffeId) -> Result<(), CsrError> {
    let names = request
        .requested_extensions()
        .into_iter()
        .flatten()
        .filter_map(|extension| match extension {
            ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
            _ => None,
        })
        .flatten();
    for name in names {
        let found = match name {
            GeneralName::URI(uri) if *uri == wanted.to_string() => continue,
            other => other.to_string(),
        };
        return Err(CsrError::OtherName {
            found,
            wanted: wanted.clone(),
        });
    }
    Ok(())
}
