//! A handler that keeps what it gets.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use heddle_proto::type_url;
use heddle_xds_client::{Handler, Nack, Update};

/// Keeps resources by type and name; refuses those whose name begins with `bad`; wants a route table for each listener.
#[derive(Clone, Default)]
pub(crate) struct Recorder(Arc<Mutex<BTreeMap<String, HashMap<String, String>>>>);

impl Recorder {
    /// Names of the resources of a type.
    pub(crate) fn names(&self, type_url: &str) -> BTreeSet<String> {
        let kept = self.0.lock().expect("not poisoned");
        kept.get(type_url)
            .map(|of_type| of_type.keys().cloned().collect())
            .unwrap_or_default()
    }
}

impl Handler for Recorder {
    fn apply(&mut self, update: Update) -> Vec<Nack> {
        let mut kept = self.0.lock().expect("not poisoned");
        let kept = kept.entry(update.type_url).or_default();
        let mut nacks = Vec::new();
        for (name, version, _) in update.resources {
            if name.starts_with("bad") {
                let message = format!("{name}: is bad");
                nacks.push(Nack { name, message });
            } else {
                kept.insert(name, version);
            }
        }
        for name in &update.removed {
            kept.remove(name);
        }
        nacks
    }

    fn subscriptions(&self) -> BTreeMap<String, BTreeSet<String>> {
        let routes = self.names(type_url::LISTENER);
        let secrets = BTreeSet::from(["ROOTCA".to_owned()]);
        [
            (type_url::SECRET.to_owned(), secrets),
            (type_url::ROUTE_CONFIGURATION.to_owned(), routes),
        ]
        .into()
    }

    fn versions(&self, type_url: &str) -> HashMap<String, String> {
        let kept = self.0.lock().expect("not poisoned");
        kept.get(type_url).cloned().unwrap_or_default()
    }
}
