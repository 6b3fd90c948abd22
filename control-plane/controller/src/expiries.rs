//! When the certificates that were given out run out, for `heddle status`.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use heddle_identity::{SpiffeId, not_after_of};
use heddle_issuer::Signed;
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// By node, then by identity. What this replica has not signed itself it does not know.
type Known = BTreeMap<Arc<str>, BTreeMap<SpiffeId, SystemTime>>;

/// The certificates that are valid at present; one that has run out is forgotten when its node gets another.
#[derive(Debug, Default)]
pub(crate) struct Expiries(Mutex<Known>);

impl Expiries {
    /// A certificate was given out.
    pub(crate) fn note(&self, signed: Signed<'_>) {
        let Some(end) = signed.chain.first().and_then(|pem| not_after(pem)) else {
            return;
        };
        let now = SystemTime::now();
        let mut known = self.lock();
        let of_node = known.entry(Arc::clone(signed.node)).or_default();
        // Pods come and go, and their certificates are not renewed any more.
        of_node.retain(|_, end| *end > now);
        of_node.insert(signed.identity.clone(), end);
    }

    /// When the first of these runs out: the certificates of a node, or those of one identity (`spiffe://...`).
    pub(crate) fn of(&self, name: &str) -> Option<SystemTime> {
        let known = self.lock();
        match known.get(name) {
            Some(of_node) => of_node.values().min().copied(),
            None => {
                let identity: SpiffeId = name.parse().ok()?;
                known
                    .values()
                    .filter_map(|of_node| of_node.get(&identity))
                    .min()
                    .copied()
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_after(pem: &str) -> Option<SystemTime> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    not_after_of(&der).ok()
}
