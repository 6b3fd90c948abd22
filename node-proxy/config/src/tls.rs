//! TLS that another control plane asks for: with certificates that come by SDS. (Between pods of the mesh there is mutual TLS, of which
//! nothing is told here.)

use std::{fmt, net::IpAddr, sync::Arc};

use heddle_routing::StringMatcher;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme, SupportedProtocolVersion,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{ParsedCertificate, ResolvesServerCert},
    sign::{CertifiedKey, SingleCertAndKey},
};

/// How a bound listener speaks TLS to its clients.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// Name of the secret with its certificate.
    pub certificate: Arc<str>,
    /// What it offers by ALPN, best first; empty: nothing.
    pub alpn: Vec<Vec<u8>>,
    /// The versions it speaks.
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

/// A certificate with its key: they belong to each other.
#[derive(Clone)]
pub struct Certificate(Arc<CertifiedKey>);

impl fmt::Debug for Certificate {
    /// Nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} in its chain)", self.0.cert.len())
    }
}

impl Certificate {
    pub(crate) fn new(key: CertifiedKey) -> Self {
        Self(Arc::new(key))
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.0)))
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl ServerTls {
    /// As rustls wants it.
    pub(crate) fn config(&self, certificate: &Certificate) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.versions)?
            .with_no_client_auth()
            .with_cert_resolver(certificate.resolver());
        config.alpn_protocols.clone_from(&self.alpn);
        Ok(config)
    }
}

/// How a cluster's endpoints are spoken to.
#[derive(Clone, Debug, Default)]
pub enum ClusterTls {
    /// In plain text.
    #[default]
    None,
    /// By TLS, for which something is missing yet: not at all.
    Told(Arc<UpstreamTls>),
    /// By TLS.
    Ready(ClientTls),
}

impl PartialEq for ClusterTls {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Told(one), Self::Told(other)) => Arc::ptr_eq(one, other),
            (Self::Ready(one), Self::Ready(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for ClusterTls {}

/// TLS to a cluster's endpoints, as it was told.
#[derive(Clone, Debug)]
pub struct UpstreamTls {
    /// Name of the secret with the proxy's own certificate; `None`: it shows none.
    pub certificate: Option<Arc<str>>,
    /// Name of the secret with whom to trust, beside `trust`.
    pub validation: Option<Arc<str>>,
    /// Whom to trust.
    pub trust: Trust,
    /// The name that is asked for (SNI).
    pub server_name: Option<ServerName<'static>>,
    /// What is offered by ALPN; empty: the HTTP that is spoken.
    pub alpn: Vec<Vec<u8>>,
    /// The versions that are spoken.
    pub versions: Vec<&'static SupportedProtocolVersion>,
}

/// Whom to trust.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Who signs. `None`: told elsewhere.
    pub roots: Option<Arc<RootCertStore>>,
    /// Of the names in a certificate one must fulfil one of these; empty: any will do.
    pub names: Vec<NameMatcher>,
}

/// A condition on a certificate's names.
#[derive(Clone, Debug)]
pub enum NameMatcher {
    /// A DNS name. An exact one is also met by a certificate's wildcard.
    Dns(StringMatcher),
    /// A URI, such as a SPIFFE id.
    Uri(StringMatcher),
    /// An address.
    Ip(IpAddr),
}

impl NameMatcher {
    fn is_met(&self, certificate: &webpki::EndEntityCert<'_>) -> bool {
        let is_for =
            |name: ServerName<'_>| certificate.verify_is_valid_for_subject_name(&name).is_ok();
        match self {
            Self::Dns(StringMatcher::Exact(name)) => {
                ServerName::try_from(&**name).is_ok_and(is_for)
            }
            Self::Dns(matcher) => certificate
                .valid_dns_names()
                .any(|name| matcher.matches(name)),
            Self::Uri(matcher) => certificate
                .valid_uri_names()
                .any(|name| matcher.matches(name)),
            Self::Ip(address) => is_for(ServerName::IpAddress((*address).into())),
        }
    }
}

/// What is spoken inside of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// Bytes.
    Bytes,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// TLS to a cluster's endpoints, with all that it needs. Compared by identity.
#[derive(Clone)]
pub struct ClientTls(Arc<ClientConfigs>);

struct ClientConfigs {
    server_name: Option<ServerName<'static>>,
    bytes: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientTls({:?})", self.0.server_name)
    }
}

impl PartialEq for ClientTls {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ClientTls {}

impl std::hash::Hash for ClientTls {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

impl ClientTls {
    /// For what is spoken inside.
    pub fn config(&self, inside: Inside) -> Arc<ClientConfig> {
        Arc::clone(match inside {
            Inside::Bytes => &self.0.bytes,
            Inside::Http1 => &self.0.http1,
            Inside::Http2 => &self.0.http2,
        })
    }

    /// What rustls wants to be named; an address is neither sent nor checked.
    pub fn server_name(&self, address: IpAddr) -> ServerName<'static> {
        let told = self.0.server_name.clone();
        told.unwrap_or_else(|| ServerName::IpAddress(address.into()))
    }
}

impl UpstreamTls {
    /// With its secrets; `None`: there is nobody to trust.
    pub(crate) fn ready(
        &self,
        certificate: Option<&Certificate>,
        validation: Option<&Trust>,
    ) -> Result<ClientTls, rustls::Error> {
        let roots = self
            .trust
            .roots
            .as_ref()
            .or_else(|| validation?.roots.as_ref());
        let roots = roots.ok_or(rustls::Error::General(
            "there is nobody to trust".to_owned(),
        ))?;
        let further = validation.map_or(&[][..], |trust| &trust.names);
        let provider = provider();
        let verifier = Verifier {
            roots: Arc::clone(roots),
            names: self.trust.names.iter().chain(further).cloned().collect(),
            provider: Arc::clone(&provider),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match certificate {
            Some(own) => config
                .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&own.0)))),
            None => config.with_no_client_auth(),
        };
        // A resumed session would carry over a peer that was verified earlier, by other roots perhaps.
        config.resumption = rustls::client::Resumption::disabled();
        let offering = |fallback: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = match self.alpn.is_empty() {
                true => fallback.iter().map(|name| name.to_vec()).collect(),
                false => self.alpn.clone(),
            };
            Arc::new(config)
        };
        Ok(ClientTls(Arc::new(ClientConfigs {
            server_name: self.server_name.clone(),
            bytes: offering(&[]),
            http1: offering(&[b"http/1.1"]),
            http2: offering(&[b"h2"]),
        })))
    }
}

/// Verifies a server as Envoy does: the path to a root, and one of the names that were told. The name that is asked for counts for nothing.
#[derive(Debug)]
struct Verifier {
    roots: Arc<RootCertStore>,
    names: Vec<NameMatcher>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        let names = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|_| CertificateError::BadEncoding)?;
        if !self.names.is_empty() && !self.names.iter().any(|name| name.is_met(&names)) {
            return Err(CertificateError::NotValidForName.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
