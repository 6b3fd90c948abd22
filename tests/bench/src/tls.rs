//! The certificate that all proxies with a TLS door show, and the clients that trust it.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::Resumption,
    crypto::{
        CryptoProvider,
        aws_lc_rs::{self, cipher_suite::TLS13_AES_128_GCM_SHA256, kx_group::X25519},
    },
    pki_types::ServerName,
    version::TLS13,
};

use crate::wire;

/// One key pair, ECDSA P-256, whose certificate is signed by an authority of its own.
pub(crate) struct Certificate {
    /// PEM.
    pub(crate) chain: String,
    /// PEM.
    pub(crate) key: String,
    /// What speaks to who shows it.
    pub(crate) clients: Clients,
}

impl Certificate {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let key = KeyPair::generate()?;
        let mut root = CertificateParams::default();
        root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        root.distinguished_name
            .push(DnType::CommonName, "bench gateway root");
        let trusted = root.self_signed(&key)?.der().clone();
        let issuer = Issuer::new(root, key);
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new([wire::HOST.to_owned()])?;
        let mut roots = RootCertStore::empty();
        roots.add(trusted)?;
        Ok(Self {
            chain: leaf.signed_by(&key, &issuer)?.pem(),
            key: key.serialize_pem(),
            clients: Clients::new(roots)?,
        })
    }

    /// `server.crt`, `server.key`, and both in `server.pem`.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        for (name, text) in [
            ("server.crt", self.chain.clone()),
            ("server.key", self.key.clone()),
            ("server.pem", format!("{}{}", self.chain, self.key)),
        ] {
            fs::write(folder.join(name), text).with_context(|| name.to_owned())?;
        }
        Ok(())
    }
}

/// Clients of TLS 1.3 that offer one cipher and one group, which all peers have, so that all do the same work; and that never resume a session,
/// so that each connection is a whole handshake.
#[derive(Clone, Debug)]
pub(crate) struct Clients(Arc<ClientConfig>);

impl Clients {
    fn new(roots: RootCertStore) -> anyhow::Result<Self> {
        let provider = CryptoProvider {
            cipher_suites: vec![TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![X25519],
            ..aws_lc_rs::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// One end of a connection.
    pub(crate) fn connection(&self) -> Result<ClientConnection, rustls::Error> {
        let name = ServerName::try_from(wire::HOST)
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        ClientConnection::new(Arc::clone(&self.0), name)
    }
}
