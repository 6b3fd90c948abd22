//! What is wrong with the control plane's own work, as against the users' objects.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// All that is wrong at present, by what it is about. Told in the log once when it comes, and once when it is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Concerns(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Concerns {
    /// For one part of the control plane to speak of itself.
    pub(crate) fn of(&self, part: &'static str) -> Concern {
        Concern {
            all: self.clone(),
            part,
        }
    }

    /// One line each.
    pub(crate) fn now(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The voice of one part.
#[derive(Clone, Debug)]
pub(crate) struct Concern {
    all: Concerns,
    part: &'static str,
}

impl Concern {
    /// This is wrong now.
    pub(crate) fn raise(&self, what: impl Into<String>) {
        let what = what.into();
        let mut all = self.all.lock();
        if all.get(self.part) != Some(&what) {
            tracing::warn!("{what}");
            all.insert(self.part, what);
        }
    }

    /// Nothing is wrong any more.
    pub(crate) fn settled(&self) {
        if let Some(what) = self.all.lock().remove(self.part) {
            tracing::info!("no longer: {what}");
        }
    }
}
