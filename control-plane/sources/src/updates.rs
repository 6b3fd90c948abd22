//! The one interface of all sources: the latest state, and what changed since it was last looked at.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use heddle_resources::{ChangeSet, Cluster, Kind};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{Pace, Places, Problem};

/// All objects at one moment, and what is new about them.
#[derive(Clone, Debug)]
pub struct Update {
    /// All objects.
    pub cluster: Arc<Cluster>,
    /// What was added, changed or removed since the last update that was taken; in the first one everything.
    pub changes: ChangeSet,
    /// What cannot be read at this moment (not only what is new), sorted.
    pub problems: Arc<[Problem]>,
    /// Where each object is defined, for the words of whoever finds something wrong with it later. Empty if there are no files.
    pub places: Arc<Places>,
    /// Kinds that cannot be read from the source at this moment: what was known of them stays, or there are none.
    pub unavailable: BTreeSet<Kind>,
}

/// The receiving end of a source. Dropping it ends the source.
#[derive(Debug)]
pub struct Updates {
    slot: Arc<Slot>,
    pace: Pace,
    source: JoinHandle<()>,
}

impl Updates {
    /// Starts a source that publishes until it is dropped.
    pub(crate) fn start<F>(source: impl FnOnce(Publisher) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let slot = Arc::new(Slot::default());
        let publisher = Publisher {
            slot: Arc::clone(&slot),
        };
        Self {
            slot,
            pace: Pace::default(),
            source: tokio::spawn(source(publisher)),
        }
    }

    /// What keeps the first update from coming, for whoever asks why.
    pub fn obstacles(&self) -> Obstacles {
        Obstacles(Arc::clone(&self.slot))
    }

    /// The next update: what was published since the last call, as one. Waits until there is something, and for its [`Pace`].
    /// `None`: the source has ended and there will be nothing more. Cancel-safe.
    pub async fn next(&mut self) -> Option<Update> {
        self.pace.ready().await;
        loop {
            {
                let mut state = self.slot.lock();
                if let Some(update) = state.pending.take() {
                    self.pace.taken();
                    return Some(update);
                }
                if state.ended {
                    return None;
                }
            }
            self.slot.published.notified().await;
        }
    }
}

/// What a source waits for; stays valid when the source has ended.
#[derive(Clone, Debug)]
pub struct Obstacles(Arc<Slot>);

impl Obstacles {
    /// What keeps the source from its first update at this moment.
    pub fn now(&self) -> Vec<Problem> {
        self.0.lock().obstacles.clone()
    }
}

impl Drop for Updates {
    fn drop(&mut self) {
        self.source.abort();
    }
}

/// The sending end.
#[derive(Debug)]
pub(crate) struct Publisher {
    slot: Arc<Slot>,
}

impl Publisher {
    /// Puts an update into the slot; together with what still lies there, if the consumer has not come for it.
    pub(crate) fn publish(&self, mut update: Update) {
        let mut state = self.slot.lock();
        if let Some(earlier) = state.pending.take() {
            update.changes.extend(earlier.changes);
        }
        state.pending = Some(update);
        drop(state);
        self.slot.published.notify_one();
    }
}

impl Publisher {
    /// Notes what keeps the source from its first update.
    pub(crate) fn hindered(&self, obstacles: Vec<Problem>) {
        self.slot.lock().obstacles = obstacles;
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.slot.lock().ended = true;
        self.slot.published.notify_one();
    }
}

#[derive(Debug, Default)]
struct Slot {
    state: Mutex<State>,
    published: Notify,
}

#[derive(Debug, Default)]
struct State {
    pending: Option<Update>,
    obstacles: Vec<Problem>,
    ended: bool,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while holding it; if somebody did, the value would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
