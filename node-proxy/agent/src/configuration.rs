//! The configuration store as the xDS client's handler, and its copy on disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use heddle_config::{Nack, SharedConfig, Store, Update, last_good};
use heddle_identity::TrustDomain;
use heddle_proto::{names::ROOT_CA_SECRET, type_url};
use heddle_xds_client::Handler;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

/// Changes that come within this time are written together.
const QUIET: Duration = Duration::from_millis(500);
/// A configuration that never comes to rest is written this often.
const LONGEST_UNWRITTEN: Duration = Duration::from_secs(5);

/// The store, and who is told of its changes.
pub(crate) struct Configuration {
    store: SharedStore,
    /// The store's revision.
    changed: watch::Sender<u64>,
    from_disk: bool,
}

/// Changed by the xDS client, read when it is written to disk; the data path never touches it.
#[derive(Clone)]
struct SharedStore(Arc<Mutex<Store>>);

impl SharedStore {
    fn lock(&self) -> MutexGuard<'_, Store> {
        // A panic in the middle of an update leaves resources of which each is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Configuration {
    /// Begins with the last good configuration, if there is one.
    pub(crate) fn open(trust_domain: TrustDomain, last_good: &Path) -> Self {
        let mut store = Store::new(trust_domain);
        let loaded = last_good::load(last_good);
        let from_disk = loaded.is_ok();
        match loaded {
            Ok(updates) => {
                for refused in updates.into_iter().flat_map(|update| store.apply(update)) {
                    tracing::warn!(
                        resource = refused.name,
                        reason = refused.message,
                        "kept, but refused now"
                    );
                }
                tracing::info!("began with the last good configuration");
            }
            Err(error) => tracing::info!(%error, "no last good configuration"),
        }
        let changed = watch::Sender::new(store.revision());
        Self {
            store: SharedStore(Arc::new(Mutex::new(store))),
            changed,
            from_disk,
        }
    }

    /// Whether it began with the last good configuration.
    pub(crate) fn is_from_disk(&self) -> bool {
        self.from_disk
    }

    pub(crate) fn shared(&self) -> SharedConfig {
        self.store.lock().shared()
    }

    /// The revision, and each new one. What [`shared`](Self::shared) holds is at least as new.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Writes what changes from now on to disk. Ends when `self` is gone and all is written.
    pub(crate) fn keep(&self, path: PathBuf) -> impl Future<Output = ()> + Send + use<> {
        let (store, mut changed) = (self.store.clone(), self.changes());
        async move {
            while changed.changed().await.is_ok() {
                rest(&mut changed).await;
                let (good, path) = (store.lock().good(), path.clone());
                // Only a panic while writing could be an error here; the next change is written again.
                let _ = tokio::task::spawn_blocking(move || save(&path, &good)).await;
            }
        }
    }
}

/// Until nothing has changed for a while, or for too long.
async fn rest(changed: &mut watch::Receiver<u64>) {
    let limit = Instant::now() + LONGEST_UNWRITTEN;
    loop {
        let end = limit.min(Instant::now() + QUIET);
        match timeout_at(end, changed.changed()).await {
            Ok(Ok(())) if Instant::now() < limit => {}
            _ => return,
        }
    }
}

fn save(path: &Path, updates: &[Update]) {
    if let Some(folder) = path.parent() {
        // A folder that cannot be made shows in the next line.
        let _ = std::fs::create_dir_all(folder);
    }
    if let Err(error) = last_good::save(path, updates) {
        tracing::error!(%error, path = %path.display(), "the last good configuration was not written");
    }
}

impl Handler for Configuration {
    fn apply(&mut self, update: Update) -> Vec<Nack> {
        let mut store = self.store.lock();
        let nacks = store.apply(update);
        let revision = store.revision();
        drop(store);
        self.changed
            .send_if_modified(|known| std::mem::replace(known, revision) != revision);
        nacks
    }

    fn subscriptions(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut referenced = self.store.lock().referenced();
        referenced.secrets.insert(ROOT_CA_SECRET.to_owned());
        [
            (type_url::SECRET, referenced.secrets),
            (type_url::CLUSTER_LOAD_ASSIGNMENT, referenced.endpoints),
            (type_url::ROUTE_CONFIGURATION, referenced.routes),
        ]
        .map(|(type_url, names)| (type_url.to_owned(), names))
        .into()
    }

    fn versions(&self, type_url: &str) -> HashMap<String, String> {
        self.store.lock().versions(type_url)
    }
}

#[cfg(test)]
mod tests;
