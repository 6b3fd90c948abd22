//! The handle that the rest of the proxy holds.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use heddle_identity::SpiffeId;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    CertError, InvalidTrustBundle, Issue,
    configs::Configs,
    own::OwnCertificate,
    renewal,
    trust::Trust,
    wanted::{Now, Wanted},
};

/// How certificates are asked for.
#[derive(Clone)]
pub struct Settings {
    /// The lifetime to ask for; the issuer may shorten it.
    pub validity: Duration,
    /// How long a caller waits for a certificate or trust bundle that is not there yet.
    pub wait_limit: Duration,
    /// How many requests may be under way at once.
    pub concurrency: usize,
    /// The calendar; replaced in tests.
    pub clock: fn() -> SystemTime,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            validity: Duration::from_secs(24 * 60 * 60),
            wait_limit: Duration::from_secs(5),
            concurrency: 8,
            clock: SystemTime::now,
        }
    }
}

/// What is known about one identity's certificate, for the admin interface and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateState {
    /// Whose.
    pub identity: SpiffeId,
    /// End of the certificate that is in use; `None`: there is none.
    pub not_after: Option<SystemTime>,
    /// Failed attempts since the last success.
    pub failures: u32,
    /// Why the last attempt failed; `None` after a success.
    pub last_error: Option<Arc<str>>,
}

/// The live certificates of this node's identities. Cheap to clone; the renewal task ends with the last clone.
#[derive(Clone)]
pub struct Certificates {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) configs: Configs,
    trust: Arc<Trust>,
    wanted: Mutex<Wanted>,
    /// Wakes those who wait for a certificate or the trust bundle.
    changed: watch::Sender<()>,
    /// Wakes the renewal task.
    pub(crate) work: Arc<Notify>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.work.notify_one();
    }
}

impl Inner {
    pub(crate) fn now(&self) -> Now {
        Now {
            instant: Instant::now(),
            calendar: (self.settings.clock)(),
        }
    }

    pub(crate) fn wanted(&self) -> MutexGuard<'_, Wanted> {
        // Nothing panics under this lock; should it, each entry is still whole.
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn announce(&self) {
        self.changed.send_replace(());
    }

    /// The certificate in use, unless it is over.
    fn own(&self, identity: &SpiffeId) -> Option<Arc<OwnCertificate>> {
        let calendar = (self.settings.clock)();
        let wanted = self.wanted();
        let own = wanted.get(identity)?.current.as_ref()?;
        own.is_valid_at(calendar).then(|| own.clone())
    }

    fn unavailable(&self, identity: &SpiffeId) -> CertError {
        let waited = self.settings.wait_limit;
        if self.trust.is_empty() {
            return CertError::NoTrustBundle { waited };
        }
        let cause = self.wanted().get(identity).map_or_else(
            || "no pod of this identity runs on this node".into(),
            |entry| {
                entry
                    .last_error
                    .clone()
                    .unwrap_or_else(|| "the issuer has not answered yet".into())
            },
        );
        CertError::Unavailable {
            identity: identity.clone(),
            waited,
            cause,
        }
    }
}

impl Certificates {
    /// Starts the renewal task on the current tokio runtime. Nothing is wanted yet.
    pub fn start<I: Issue>(issuer: I, settings: Settings) -> Self {
        let trust = Arc::new(Trust::default());
        let inner = Arc::new(Inner {
            configs: Configs::new(trust.clone()),
            trust,
            settings,
            wanted: Mutex::default(),
            changed: watch::Sender::new(()),
            work: Arc::new(Notify::new()),
        });
        tokio::spawn(renewal::run(
            Arc::downgrade(&inner),
            inner.work.clone(),
            Arc::new(issuer),
        ));
        Self { inner }
    }

    /// Replaces the set of identities to hold certificates for. New ones are asked for at once; those that are left out are
    /// forgotten together with their keys.
    pub fn want(&self, identities: BTreeSet<SpiffeId>) {
        self.inner.wanted().replace(identities);
        let wanted = self.inner.wanted();
        self.inner
            .configs
            .retain(|identity| wanted.contains(identity));
        drop(wanted);
        self.inner.work.notify_one();
    }

    /// Replaces the roots that peers are judged by; takes effect with the next handshake. An empty text withdraws all
    /// trust. On an error the former roots stay.
    pub fn set_trust_bundle(&self, pem: &str) -> Result<(), InvalidTrustBundle> {
        if self.inner.trust.set(pem)? {
            self.inner.announce();
        }
        Ok(())
    }

    /// The configuration for accepting connections as `own`; ask for each handshake anew, it costs a look-up. Waits, within
    /// [`Settings::wait_limit`], for a certificate that is not there yet.
    pub async fn server_config(
        &self,
        own: &SpiffeId,
    ) -> Result<Arc<rustls::ServerConfig>, CertError> {
        let certificate = self.certificate(own).await?;
        self.inner.configs.server(own, &certificate)
    }

    /// The configuration for connecting as `own` to `expected` and nobody else; ask for each handshake anew. Waits as
    /// [`Self::server_config`] does.
    pub async fn client_config(
        &self,
        own: &SpiffeId,
        expected: &SpiffeId,
    ) -> Result<Arc<rustls::ClientConfig>, CertError> {
        let certificate = self.certificate(own).await?;
        self.inner.configs.client(own, &certificate, expected)
    }

    /// Every wanted identity, in order.
    pub fn states(&self) -> Vec<CertificateState> {
        let wanted = self.inner.wanted();
        wanted
            .iter()
            .map(|(identity, entry)| CertificateState {
                identity: identity.clone(),
                not_after: entry.current.as_ref().map(|own| own.not_after),
                failures: entry.failures,
                last_error: entry.last_error.clone(),
            })
            .collect()
    }

    /// Whether every wanted identity has a certificate and there is somebody to trust; for readiness.
    pub fn is_complete(&self) -> bool {
        let wanted = self.inner.wanted();
        !self.inner.trust.is_empty() && wanted.iter().all(|(_, entry)| entry.current.is_some())
    }

    async fn certificate(&self, identity: &SpiffeId) -> Result<Arc<OwnCertificate>, CertError> {
        let mut changed = self.inner.changed.subscribe();
        let ready = async {
            loop {
                changed.borrow_and_update();
                if !self.inner.trust.is_empty()
                    && let Some(own) = self.inner.own(identity)
                {
                    return own;
                }
                if changed.changed().await.is_err() {
                    // Never: the sender lives as long as `self`. Waiting lets the limit decide.
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(self.inner.settings.wait_limit, ready)
            .await
            .map_err(|_| self.inner.unavailable(identity))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.states()).finish()
    }
}
