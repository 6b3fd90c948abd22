//! The configuration store as the xDS client's handler, and its copy on disk.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::Duration,
};

use heddle_config::{SharedConfig, Store, Update, last_good};
use heddle_proto::{names::ROOT_CA_SECRET, type_url};
use heddle_xds_client::{Handler, Nack};
use tokio::sync::watch;

use crate::arguments::Arguments;

/// Changes that come within this time are written together.
const QUIET: Duration = Duration::from_millis(500);

/// The store, and who is told of its changes.
pub(crate) struct Configuration {
    store: Store,
    changed: watch::Sender<u64>,
    disk: Sender<Vec<Update>>,
}

impl Configuration {
    /// Begins with the last good configuration, if there is one.
    pub(crate) fn open(arguments: &Arguments) -> (Self, watch::Receiver<u64>) {
        let mut store = Store::new(arguments.trust_domain.clone());
        match last_good::load(&arguments.last_good) {
            Ok(updates) => {
                for update in updates {
                    for refused in store.apply(update) {
                        tracing::warn!(
                            resource = refused.name,
                            reason = refused.message,
                            "kept, but refused now"
                        );
                    }
                }
                tracing::info!("began with the last good configuration");
            }
            Err(error) => tracing::info!(%error, "no last good configuration"),
        }
        let (changed, receiver) = watch::channel(0);
        let (disk, written) = channel();
        let path = arguments.last_good.clone();
        thread::spawn(move || write(&path, &written));
        (
            Self {
                store,
                changed,
                disk,
            },
            receiver,
        )
    }

    pub(crate) fn shared(&self) -> SharedConfig {
        self.store.shared()
    }
}

/// Writes the newest configuration once it has been quiet for a while.
fn write(path: &PathBuf, updates: &Receiver<Vec<Update>>) {
    while let Ok(mut newest) = updates.recv() {
        loop {
            match updates.recv_timeout(QUIET) {
                Ok(newer) => newest = newer,
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    save(path, &newest);
                    return;
                }
            }
        }
        save(path, &newest);
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
    fn apply(&mut self, update: heddle_xds_client::Update) -> Vec<Nack> {
        let refused = self.store.apply(Update {
            type_url: update.type_url,
            resources: update.resources,
            removed: update.removed,
        });
        self.changed.send_modify(|revision| *revision += 1);
        // The writing thread lives as long as this sender.
        let _ = self.disk.send(self.store.good());
        refused
            .into_iter()
            .map(|nack| Nack {
                name: nack.name,
                message: nack.message,
            })
            .collect()
    }

    fn subscriptions(&self) -> BTreeMap<String, BTreeSet<String>> {
        let referenced = self.store.referenced();
        [
            (type_url::SECRET, [ROOT_CA_SECRET.to_owned()].into()),
            (type_url::CLUSTER_LOAD_ASSIGNMENT, referenced.endpoints),
            (type_url::ROUTE_CONFIGURATION, referenced.routes),
        ]
        .map(|(type_url, names)| (type_url.to_owned(), names))
        .into()
    }

    fn versions(&self, type_url: &str) -> HashMap<String, String> {
        self.store.versions(type_url)
    }
}
