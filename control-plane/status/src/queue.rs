//! Which object is to be written when: pure.
//!
//! An object is written by one task at a time. One that fails comes again after a pause that grows with each failure, and harms no other.

use std::{collections::BTreeMap, time::Duration};

use heddle_resources::ObjectId;
use tokio::time::Instant;

/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: BTreeMap<ObjectId, Waiting>,
    /// Objects that are being written; whether they have to be looked at again afterwards, and their failures so far.
    running: BTreeMap<ObjectId, Running>,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    failures: u32,
}

#[derive(Debug)]
struct Running {
    again: bool,
    failures: u32,
}

impl Queue {
    /// An object may have to be written, now.
    pub(crate) fn push(&mut self, id: ObjectId, now: Instant) {
        if let Some(running) = self.running.get_mut(&id) {
            running.again = true;
            return;
        }
        let fresh = Waiting {
            due: now,
            failures: 0,
        };
        let waiting = self.waiting.entry(id).or_insert(fresh);
        waiting.due = waiting.due.min(now);
    }

    /// What is due, the longest waiting first, so that at most `limit` objects are being written.
    pub(crate) fn take(&mut self, now: Instant, limit: usize) -> Vec<ObjectId> {
        let mut due: Vec<(Instant, ObjectId)> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.due <= now)
            .map(|(id, waiting)| (waiting.due, id.clone()))
            .collect();
        due.sort();
        due.truncate(limit.saturating_sub(self.running.len()));
        for (_, id) in &due {
            let failures = self
                .waiting
                .remove(id)
                .map_or(0, |waiting| waiting.failures);
            let running = Running {
                again: false,
                failures,
            };
            self.running.insert(id.clone(), running);
        }
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// When something is due, if there is room for it (see [`take`](Self::take)).
    pub(crate) fn next(&self, limit: usize) -> Option<Instant> {
        let next = self.waiting.values().map(|waiting| waiting.due).min();
        next.filter(|_| self.running.len() < limit)
    }

    /// An object was written, or was in order.
    pub(crate) fn succeeded(&mut self, id: &ObjectId, now: Instant) {
        if self.running.remove(id).is_some_and(|running| running.again) {
            self.push(id.clone(), now);
        }
    }

    /// An object could not be written. Gives back the pause.
    pub(crate) fn failed(&mut self, id: &ObjectId, now: Instant) -> Duration {
        let failures = self
            .running
            .remove(id)
            .map_or(0, |running| running.failures);
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16));
        let pause = pause.min(LONGEST_PAUSE);
        let waiting = Waiting {
            due: now + pause,
            failures: failures.saturating_add(1),
        };
        self.waiting.insert(id.clone(), waiting);
        pause
    }
}
