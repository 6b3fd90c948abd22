//! TLS that another control plane asks for: with certificates that come by SDS. (Between pods of the mesh there is mutual TLS, of which
//! nothing is told here.)

use std::{fmt, sync::Arc};

use rustls::{
    ServerConfig, SupportedProtocolVersion, crypto::CryptoProvider, server::ResolvesServerCert,
    sign::CertifiedKey, sign::SingleCertAndKey,
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
