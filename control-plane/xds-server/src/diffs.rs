//! One comparison of two sets of resources, shared by all streams.
//!
//! A change reaches hundreds of streams that all go from the same old set to the same new one. The first of them
//! compares; the others find the answer here, so that the cost of a change does not grow with clients times resources.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use heddle_snapshot::{Diff, ResourcesOfType, diff};

/// Recent comparisons kept. More are needed only if streams lag behind at many different snapshots.
const KEPT: usize = 64;

#[derive(Debug)]
struct Entry {
    // Weak: the sets themselves are not kept alive, but their addresses cannot be reused while this entry stands.
    old: Weak<ResourcesOfType>,
    new: Weak<ResourcesOfType>,
    diff: Arc<Diff>,
}

/// Remembers what recently compared sets differ in. A pure function with a memory.
#[derive(Debug, Default)]
pub struct Diffs {
    recent: Mutex<VecDeque<Entry>>,
}

impl Diffs {
    /// What changed from `old` to `new`.
    pub fn between(&self, old: &Arc<ResourcesOfType>, new: &Arc<ResourcesOfType>) -> Arc<Diff> {
        // Held while comparing, on purpose: whoever else wants the same answer waits for it instead of repeating the work.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().find(|entry| {
            entry.old.as_ptr() == Arc::as_ptr(old) && entry.new.as_ptr() == Arc::as_ptr(new)
        });
        if let Some(entry) = known {
            return Arc::clone(&entry.diff);
        }
        let answer = Arc::new(diff(old, new));
        if recent.len() == KEPT {
            recent.pop_front();
        }
        recent.push_back(Entry {
            old: Arc::downgrade(old),
            new: Arc::downgrade(new),
            diff: Arc::clone(&answer),
        });
        answer
    }
}
