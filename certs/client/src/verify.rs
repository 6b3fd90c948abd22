//! Is the peer who it must be? The path is checked by webpki, the name by `heddle-identity`; no cryptography is done here.

use std::{fmt, sync::Arc};

use heddle_identity::{SpiffeId, TrustDomain, spiffe_id_of};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, PeerIncompatible,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use webpki::{EndEntityCert, KeyUsage};

use crate::{PeerRefused, trust::Trust};

/// Who is on the other side of a finished handshake, in which these certificates were verified; its own is the first.
pub fn peer_identity(certificates: &[CertificateDer<'_>]) -> Result<SpiffeId, PeerRefused> {
    let leaf = certificates.first().ok_or(PeerRefused::Absent)?;
    spiffe_id_of(leaf).map_err(|error| PeerRefused::Identity(Arc::new(error)))
}

/// What both sides check of the other's certificate.
struct Verifier {
    trust: Arc<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<SpiffeId, rustls::Error> {
        let bundle = self.trust.current().ok_or(PeerRefused::NoTrustBundle)?;
        // webpki tries every anchor whose subject fits, so that old and new root may share a name.
        EndEntityCert::try_from(leaf)
            .and_then(|certificate| {
                certificate
                    .verify_for_usage(
                        self.algorithms.all,
                        &bundle.anchors,
                        intermediates,
                        now,
                        usage,
                        None,
                        None,
                    )
                    .map(|_| ())
            })
            .map_err(path_error)?;
        Ok(spiffe_id_of(leaf).map_err(|error| PeerRefused::Identity(Arc::new(error)))?)
    }
}

/// TLS has alerts for the common reasons; everything else goes out as "certificate unknown" and keeps its text here.
fn path_error(error: webpki::Error) -> rustls::Error {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } => CertificateError::Expired.into(),
        E::CertNotValidYet { .. } => CertificateError::NotValidYet.into(),
        // The second: signed by somebody who has the name of one of our roots, but not its key.
        E::UnknownIssuer | E::InvalidSignatureForPublicKey => {
            CertificateError::UnknownIssuer.into()
        }
        other => PeerRefused::Path(other).into(),
    }
}

impl From<PeerRefused> for rustls::Error {
    fn from(refused: PeerRefused) -> Self {
        CertificateError::Other(OtherError(Arc::new(refused))).into()
    }
}

/// What the two traits of rustls ask alike: does the peer hold the key of its certificate?
macro_rules! signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Err(PeerIncompatible::Tls12NotOfferedOrEnabled.into())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls13_signature(message, certificate, signed, &self.verifier.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.verifier.algorithms.supported_schemes()
        }
    };
}

/// For the server: any workload of our trust domain.
pub(crate) struct AnyOf {
    verifier: Verifier,
    trust_domain: TrustDomain,
}

impl AnyOf {
    pub(crate) fn new(
        trust: Arc<Trust>,
        algorithms: WebPkiSupportedAlgorithms,
        trust_domain: TrustDomain,
    ) -> Self {
        Self {
            verifier: Verifier { trust, algorithms },
            trust_domain,
        }
    }
}

impl fmt::Debug for AnyOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AnyOf({})", self.trust_domain)
    }
}

impl ClientCertVerifier for AnyOf {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let found =
            self.verifier
                .verify(end_entity, intermediates, now, KeyUsage::client_auth())?;
        if found.trust_domain != self.trust_domain {
            return Err(PeerRefused::TrustDomain {
                found,
                expected: self.trust_domain.clone(),
            }
            .into());
        }
        Ok(ClientCertVerified::assertion())
    }

    signatures!();
}

/// For the client: exactly one identity.
pub(crate) struct Exactly {
    verifier: Verifier,
    expected: SpiffeId,
}

impl Exactly {
    pub(crate) fn new(
        trust: Arc<Trust>,
        algorithms: WebPkiSupportedAlgorithms,
        expected: SpiffeId,
    ) -> Self {
        Self {
            verifier: Verifier { trust, algorithms },
            expected,
        }
    }
}

impl fmt::Debug for Exactly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exactly({})", self.expected)
    }
}

impl ServerCertVerifier for Exactly {
    /// The server's name is not looked at: identities are not DNS names.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found =
            self.verifier
                .verify(end_entity, intermediates, now, KeyUsage::server_auth())?;
        if found != self.expected {
            return Err(PeerRefused::OtherPeer {
                found,
                expected: self.expected.clone(),
            }
            .into());
        }
        Ok(ServerCertVerified::assertion())
    }

    signatures!();
}
