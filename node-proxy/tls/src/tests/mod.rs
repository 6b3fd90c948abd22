//! Connections over memory, with rustls itself (by `tokio-rustls`) or this crate on the other end.

mod handshake;
mod hostile;
mod libraries;
mod messages;
mod records;
mod updates;

use std::{io, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    CipherSuite, ClientConfig, RootCertStore, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    server::WebPkiClientVerifier,
    version::TLS13,
};
use tokio::io::{DuplexStream, duplex};

use crate::{Established, TlsStream};

pub(super) const SUITES: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS13_AES_256_GCM_SHA384,
    CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// Configurations for both ends, each with a certificate of one authority.
pub(super) struct World {
    pub(super) client: Arc<ClientConfig>,
    /// Has no certificate.
    pub(super) nobody: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

pub(super) fn name() -> ServerName<'static> {
    ServerName::try_from("server.test").expect("a name")
}

type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn leaf(issuer: &Issuer<'_, KeyPair>, name: &str) -> Own {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, issuer).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    (vec![certificate.der().clone()], key.into())
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(SUITES[0])
    }

    /// Only this suite is spoken.
    pub(super) fn with(suite: CipherSuite) -> Self {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|one| one.suite() == suite);
        let provider = Arc::new(provider);
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).expect("a root");
        let issuer = Issuer::new(params, key);
        let mut roots = RootCertStore::empty();
        roots.add(root.der().clone()).expect("a root");
        let roots = Arc::new(roots);
        Self {
            client: client(&provider, &roots, Some(leaf(&issuer, "client.test"))),
            nobody: client(&provider, &roots, None),
            server: server(&provider, &roots, leaf(&issuer, "server.test")),
        }
    }

    /// A connection with this crate on both ends, over a pipe of `size` bytes.
    pub(super) async fn pair(
        &self,
        size: usize,
    ) -> (TlsStream<DuplexStream>, TlsStream<DuplexStream>) {
        let (near, far) = duplex(size);
        let (client, server) = self.handshake(&self.client, near, far).await;
        (
            client.expect("connected").stream,
            server.expect("accepted").stream,
        )
    }

    pub(super) async fn handshake(
        &self,
        client: &Arc<ClientConfig>,
        near: DuplexStream,
        far: DuplexStream,
    ) -> (
        io::Result<Established<DuplexStream>>,
        io::Result<Established<DuplexStream>>,
    ) {
        tokio::join!(
            crate::connect(client.clone(), name(), near),
            crate::accept(self.server.clone(), far)
        )
    }
}

fn client(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    own: Option<Own>,
) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .expect("versions")
        .with_root_certificates(roots.clone());
    let mut config = match own {
        Some((chain, key)) => config.with_client_auth_cert(chain, key).expect("a key"),
        None => config.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.enable_secret_extraction = true;
    Arc::new(config)
}

fn server(
    provider: &Arc<CryptoProvider>,
    roots: &Arc<RootCertStore>,
    (chain, key): Own,
) -> Arc<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .expect("versions")
        .with_client_cert_verifier(verifier.build().expect("a verifier"))
        .with_single_cert(chain, key)
        .expect("a key");
    config.enable_secret_extraction = true;
    // Sent right after the handshake, so that records do not begin with number 0; ours sends none.
    config.send_tls13_tickets = 2;
    Arc::new(config)
}

/// The error of rustls in an error of the connection.
pub(super) fn fault(error: &io::Error) -> &rustls::Error {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    let inside = error.get_ref().and_then(|inside| inside.downcast_ref());
    inside.expect("rustls' own error")
}

/// Bytes of which none is like its neighbours.
pub(super) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}
