//! TLS configurations, made once for each own certificate and expected peer.
//!
//! Sessions are never resumed: a resumed session would carry over a peer that was authenticated earlier, past the end of its
//! certificate or of its root. Handshakes are rare (connections are tunnels that carry many streams), so this costs little.
//!
//! The keys of a connection may be taken out, for the mesh reads and writes its records itself (`heddle-tls`).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use heddle_identity::SpiffeId;
use rustls::{
    CipherSuite, ClientConfig, ServerConfig,
    client::Resumption,
    crypto::{CryptoProvider, aws_lc_rs},
    server::NoServerSessionStorage,
    sign::SingleCertAndKey,
    version::TLS13,
};

use crate::{
    CertError,
    own::OwnCertificate,
    trust::Trust,
    verify::{AnyOf, Exactly},
};

/// The one protocol inside: HTTP/2 (HBONE).
const ALPN: &[u8] = b"h2";
/// More than this many configurations are not kept (peers come and go); they are made anew.
const MOST_KEPT: usize = 4096;

/// Makes and keeps configurations.
pub(crate) struct Configs {
    provider: Arc<CryptoProvider>,
    trust: Arc<Trust>,
    servers: Mutex<HashMap<SpiffeId, Kept<ServerConfig>>>,
    clients: Mutex<HashMap<(SpiffeId, SpiffeId), Kept<ClientConfig>>>,
}

/// A configuration and the certificate that it is for. Trust is not part of it: verifiers read it live.
struct Kept<T> {
    own: Arc<OwnCertificate>,
    config: Arc<T>,
}

impl<T> Kept<T> {
    fn for_certificate(&self, own: &Arc<OwnCertificate>) -> Option<Arc<T>> {
        Arc::ptr_eq(&self.own, own).then(|| self.config.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics under these locks; should it, a map of finished configurations is still a good map.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the mesh encrypts with. AES-128-GCM comes first, as with Envoy, Go and browsers: it takes ten rounds for a block where AES-256, which
/// rustls begins with, takes fourteen. The client's order counts, so that both ends must have it; a peer that has another one is spoken to by
/// that.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let first = CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != first);
    provider
}

impl Configs {
    pub(crate) fn new(trust: Arc<Trust>) -> Self {
        Self {
            provider: Arc::new(provider()),
            trust,
            servers: Mutex::default(),
            clients: Mutex::default(),
        }
    }

    pub(crate) fn provider(&self) -> &CryptoProvider {
        &self.provider
    }

    /// For connections to `identity`: asks for a client certificate of its trust domain.
    pub(crate) fn server(
        &self,
        identity: &SpiffeId,
        own: &Arc<OwnCertificate>,
    ) -> Result<Arc<ServerConfig>, CertError> {
        let mut kept = lock(&self.servers);
        if let Some(config) = kept.get(identity).and_then(|k| k.for_certificate(own)) {
            return Ok(config);
        }
        let config = Arc::new(self.make_server(identity, own)?);
        make_room(&mut kept);
        kept.insert(
            identity.clone(),
            Kept {
                own: own.clone(),
                config: config.clone(),
            },
        );
        Ok(config)
    }

    /// For connections of `identity` to `expected`.
    pub(crate) fn client(
        &self,
        identity: &SpiffeId,
        own: &Arc<OwnCertificate>,
        expected: &SpiffeId,
    ) -> Result<Arc<ClientConfig>, CertError> {
        let key = (identity.clone(), expected.clone());
        let mut kept = lock(&self.clients);
        if let Some(config) = kept.get(&key).and_then(|k| k.for_certificate(own)) {
            return Ok(config);
        }
        let config = Arc::new(self.make_client(own, expected)?);
        make_room(&mut kept);
        kept.insert(
            key,
            Kept {
                own: own.clone(),
                config: config.clone(),
            },
        );
        Ok(config)
    }

    /// Drops the configurations (and with them the keys) of identities that are not wanted any more.
    pub(crate) fn retain(&self, wanted: impl Fn(&SpiffeId) -> bool) {
        lock(&self.servers).retain(|identity, _| wanted(identity));
        lock(&self.clients).retain(|(identity, _), _| wanted(identity));
    }

    fn make_server(
        &self,
        identity: &SpiffeId,
        own: &OwnCertificate,
    ) -> Result<ServerConfig, CertError> {
        let verifier = AnyOf::new(
            self.trust.clone(),
            self.provider.signature_verification_algorithms,
            identity.trust_domain.clone(),
        );
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(tls_error)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(own.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.enable_secret_extraction = true;
        Ok(config)
    }

    fn make_client(
        &self,
        own: &OwnCertificate,
        expected: &SpiffeId,
    ) -> Result<ClientConfig, CertError> {
        let verifier = Exactly::new(
            self.trust.clone(),
            self.provider.signature_verification_algorithms,
            expected.clone(),
        );
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(tls_error)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        config.enable_secret_extraction = true;
        Ok(config)
    }
}

fn make_room<K, V>(kept: &mut HashMap<K, V>) {
    if kept.len() >= MOST_KEPT {
        kept.clear();
    }
}

fn tls_error(error: rustls::Error) -> CertError {
    CertError::Tls(Arc::new(error))
}
