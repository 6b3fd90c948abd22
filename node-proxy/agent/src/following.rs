//! Certificates and trust, as the configuration wants them.

use std::{collections::BTreeSet, sync::Arc};

use heddle_cert_client::Certificates;
use heddle_config::ProxyConfig;
use heddle_identity::SpiffeId;

/// Keeps certificates in line with the configuration.
pub(crate) struct Following {
    certificates: Certificates,
    /// The proxy's own identity.
    own: SpiffeId,
    /// The revision that was followed last.
    followed: Option<u64>,
    trusted: Arc<str>,
}

impl Following {
    pub(crate) fn new(certificates: Certificates, own: SpiffeId) -> Self {
        Self {
            certificates,
            own,
            followed: None,
            trusted: "".into(),
        }
    }

    /// Follows a configuration, which is at least as new as the revision.
    pub(crate) fn follow(&mut self, config: &ProxyConfig, revision: u64) {
        if self.followed.replace(revision) == Some(revision) {
            return;
        }
        self.trust(config);
        self.certificates.want(wanted(config, &self.own));
    }

    /// Whether each identity has its certificate.
    pub(crate) fn is_complete(&self) -> bool {
        self.certificates.is_complete()
    }

    fn trust(&mut self, config: &ProxyConfig) {
        if config.trust_bundle == self.trusted {
            return;
        }
        self.trusted = Arc::clone(&config.trust_bundle);
        if let Err(error) = self.certificates.set_trust_bundle(&self.trusted) {
            tracing::error!(%error, "the trust bundle was not taken; the last one stays in force");
        }
    }
}

fn wanted(config: &ProxyConfig, own: &SpiffeId) -> BTreeSet<SpiffeId> {
    let of_pods = config.pods.values().map(|pod| pod.identity.clone());
    of_pods.chain([own.clone()]).collect()
}
