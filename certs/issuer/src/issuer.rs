//! The authority that is in force now.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use heddle_identity::{SpiffeId, TrustDomain};
use rcgen::KeyPair;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::{
    Authority, AuthorityError, CsrError, PublicKey, RootId, Rotation, RotationSettings, Step,
    StoreError, authority::Period, store::Store,
};

/// How far back a certificate's begin is set, for clocks that are behind.
const SKEW: Duration = Duration::from_secs(300);

/// How the issuer works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Lifetime of a certificate whose asker names none.
    pub default_validity: Duration,
    /// Shortest lifetime that is given.
    pub min_validity: Duration,
    /// Longest lifetime that is given; must not exceed the rotation's `leaf_lifetime`.
    pub max_validity: Duration,
    /// How roots rotate.
    pub rotation: RotationSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            default_validity: Duration::from_secs(24 * 3600),
            min_validity: Duration::from_secs(60),
            max_validity: Duration::from_secs(24 * 3600),
            rotation: RotationSettings::default(),
        }
    }
}

/// Certificates, PEM, leaf first, root last.
pub type Chain = Vec<String>;

/// A server's certificate chain and key, PEM.
pub struct ServingCertificate {
    /// Leaf first, root last, in one text.
    pub chain_pem: String,
    /// PKCS#8.
    pub key_pem: String,
    /// When it ends.
    pub not_after: OffsetDateTime,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// The request is bad.
    #[error(transparent)]
    Csr(#[from] CsrError),
    /// Not of this mesh.
    #[error("{identity} is not of the trust domain {trust_domain}")]
    TrustDomain {
        /// Who was asked for.
        identity: SpiffeId,
        /// Whose issuer this is.
        trust_domain: TrustDomain,
    },
    /// Signing failed.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The mesh's certificate authority.
pub struct Issuer {
    trust_domain: TrustDomain,
    settings: Settings,
    state: Mutex<State>,
    bundle: watch::Sender<Arc<str>>,
}

enum State {
    /// Roots of our own.
    Own {
        store: Store,
        rotation: Rotation,
        roots: BTreeMap<RootId, Arc<Authority>>,
    },
    /// A user's CA and its roots.
    External {
        authority: Arc<Authority>,
        bundle: Arc<str>,
    },
}

impl Issuer {
    /// Opens a CA's folder; makes a first root if there is none.
    pub fn open(
        folder: &Path,
        trust_domain: TrustDomain,
        settings: Settings,
    ) -> Result<Self, IssuerError> {
        Self::open_at(folder, trust_domain, settings, OffsetDateTime::now_utc())
    }

    /// Opens a CA's folder as it is: nothing is made and no root rotated, so that whoever has the same folder is the same CA.
    ///
    /// # Errors
    /// The folder cannot be read, or holds no root that can sign now.
    pub fn load(
        folder: &Path,
        trust_domain: TrustDomain,
        settings: Settings,
    ) -> Result<Self, IssuerError> {
        let issuer = Self::read(folder, trust_domain, settings)?;
        let signing = issuer.lock().signing();
        let signing = signing.map_err(|_| StoreError::Empty {
            path: folder.to_owned(),
        })?;
        if signing.not_after() <= OffsetDateTime::now_utc() {
            return Err(AuthorityError::Expired(signing.not_after()).into());
        }
        Ok(issuer)
    }

    pub(crate) fn open_at(
        folder: &Path,
        trust_domain: TrustDomain,
        settings: Settings,
        now: OffsetDateTime,
    ) -> Result<Self, IssuerError> {
        let issuer = Self::read(folder, trust_domain, settings)?;
        issuer.rotate_at(now, false)?;
        Ok(issuer)
    }

    fn read(
        folder: &Path,
        trust_domain: TrustDomain,
        settings: Settings,
    ) -> Result<Self, IssuerError> {
        let store = Store::open(folder)?;
        let state = match store.external()? {
            Some((authority, bundle)) => State::External {
                authority: Arc::new(authority),
                bundle: bundle.into(),
            },
            None => {
                let rotation = store.rotation()?;
                let mut roots = BTreeMap::new();
                for root in &rotation.roots {
                    roots.insert(root.id, Arc::new(store.root(root.id)?));
                }
                State::Own {
                    store,
                    rotation,
                    roots,
                }
            }
        };
        Ok(Self {
            trust_domain,
            settings,
            bundle: watch::Sender::new(state.bundle()),
            state: Mutex::new(state),
        })
    }

    /// Takes the steps of the rotation that are due; to be called every few minutes. `requested`: begin a new root now.
    /// Gives back what was done.
    pub fn rotate(&self, requested: bool) -> Result<Vec<Step>, IssuerError> {
        self.rotate_at(OffsetDateTime::now_utc(), requested)
    }

    pub(crate) fn rotate_at(
        &self,
        now: OffsetDateTime,
        requested: bool,
    ) -> Result<Vec<Step>, IssuerError> {
        let mut done = Vec::new();
        let mut state = self.lock();
        if let State::Own {
            store,
            rotation,
            roots,
        } = &mut *state
        {
            // A request is for one new root, however many steps are due.
            while let Some(step) =
                rotation.step(&self.settings.rotation, now, requested && done.is_empty())
            {
                let period = Period {
                    not_before: now - SKEW,
                    not_after: now + self.settings.rotation.root_lifetime,
                };
                let next = rotation.after(step, now, period.not_after);
                if let Step::Introduce(id) = step {
                    let root = Authority::generate(&self.trust_domain, period)?;
                    store.write_root(id, &root)?;
                    roots.insert(id, Arc::new(root));
                }
                store.write_rotation(&next)?;
                if let Step::Drop(id) = step {
                    roots.remove(&id);
                    store.remove_root(id)?;
                }
                *rotation = next;
                tracing::info!(?step, "certificate authority");
                done.push(step);
            }
        }
        if !done.is_empty() {
            self.bundle.send_replace(state.bundle());
        }
        Ok(done)
    }

    /// Signs a workload's key for an identity. The caller has made sure that whoever asks may have it.
    pub fn sign(
        &self,
        csr_pem: &str,
        identity: &SpiffeId,
        validity: Option<Duration>,
    ) -> Result<Chain, IssuerError> {
        self.sign_at(csr_pem, identity, validity, OffsetDateTime::now_utc())
    }

    pub(crate) fn sign_at(
        &self,
        csr_pem: &str,
        identity: &SpiffeId,
        validity: Option<Duration>,
        now: OffsetDateTime,
    ) -> Result<Chain, IssuerError> {
        if identity.trust_domain != self.trust_domain {
            return Err(IssuerError::TrustDomain {
                identity: identity.clone(),
                trust_domain: self.trust_domain.clone(),
            });
        }
        let key = PublicKey::from_csr(csr_pem, identity)?;
        let authority = self.lock().signing()?;
        let leaf = authority.sign_workload(&key.0, identity, self.period(validity, now))?;
        Ok(vec![leaf, authority.certificate_pem().to_owned()])
    }

    /// Makes a key and a certificate for the control plane's own server.
    pub fn serving_certificate(
        &self,
        identity: &SpiffeId,
        hosts: &[String],
    ) -> Result<ServingCertificate, IssuerError> {
        let period = self.period(None, OffsetDateTime::now_utc());
        let key = KeyPair::generate().map_err(AuthorityError::from)?;
        let authority = self.lock().signing()?;
        let leaf = authority.sign_server(&key, identity, hosts, period)?;
        Ok(ServingCertificate {
            chain_pem: format!("{leaf}{}", authority.certificate_pem()),
            key_pem: key.serialize_pem(),
            not_after: period.not_after.min(authority.not_after()),
        })
    }

    /// The roots that are trusted now, PEM, and each change of them.
    pub fn trust_bundle(&self) -> watch::Receiver<Arc<str>> {
        self.bundle.subscribe()
    }

    /// The root of trust that this issuer speaks for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    fn period(&self, validity: Option<Duration>, now: OffsetDateTime) -> Period {
        let Settings {
            default_validity,
            min_validity,
            max_validity,
            ..
        } = self.settings;
        let validity = validity
            .unwrap_or(default_validity)
            .clamp(min_validity, max_validity);
        Period {
            not_before: now - SKEW,
            not_after: now + validity,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state is one assignment at its end: a panic elsewhere cannot leave half of one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn signing(&self) -> Result<Arc<Authority>, AuthorityError> {
        match self {
            Self::External { authority, .. } => Ok(Arc::clone(authority)),
            Self::Own {
                rotation, roots, ..
            } => rotation
                .signing()
                .and_then(|id| roots.get(&id).cloned())
                .ok_or(AuthorityError::Certificate),
        }
    }

    fn bundle(&self) -> Arc<str> {
        match self {
            Self::External { bundle, .. } => Arc::clone(bundle),
            Self::Own { roots, .. } => {
                let certificates: Vec<_> =
                    roots.values().map(|root| root.certificate_pem()).collect();
                certificates.concat().into()
            }
        }
    }
}
