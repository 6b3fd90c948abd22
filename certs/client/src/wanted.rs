//! The identities that certificates are wanted for, and how far each has come. Pure: times and random numbers are given.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use heddle_identity::SpiffeId;
use tokio::time::Instant;

use crate::{own::OwnCertificate, schedule};

/// One moment, in both clocks: certificates speak of the calendar, pauses of passed time.
#[derive(Clone, Copy)]
pub(crate) struct Now {
    pub(crate) instant: Instant,
    pub(crate) calendar: SystemTime,
}

/// How far one identity has come.
#[derive(Default)]
pub(crate) struct Entry {
    pub(crate) current: Option<Arc<OwnCertificate>>,
    pub(crate) last_error: Option<Arc<str>>,
    /// In a row.
    pub(crate) failures: u32,
    renew_at: Option<SystemTime>,
    retry_at: Option<Instant>,
    in_flight: bool,
}

impl Entry {
    /// How long until this one is to be asked for; `None` while an answer is awaited.
    fn wait(&self, now: Now) -> Option<Duration> {
        if self.in_flight {
            return None;
        }
        if let Some(retry_at) = self.retry_at {
            return Some(retry_at.saturating_duration_since(now.instant));
        }
        Some(self.renew_at.map_or(Duration::ZERO, |at| {
            at.duration_since(now.calendar).unwrap_or_default()
        }))
    }
}

/// All wanted identities.
#[derive(Default)]
pub(crate) struct Wanted {
    entries: BTreeMap<SpiffeId, Entry>,
}

impl Wanted {
    /// Replaces the want-set: new ones are due at once, the others are forgotten.
    pub(crate) fn replace(&mut self, identities: BTreeSet<SpiffeId>) {
        self.entries
            .retain(|identity, _| identities.contains(identity));
        for identity in identities {
            self.entries.entry(identity).or_default();
        }
    }

    pub(crate) fn get(&self, identity: &SpiffeId) -> Option<&Entry> {
        self.entries.get(identity)
    }

    pub(crate) fn contains(&self, identity: &SpiffeId) -> bool {
        self.entries.contains_key(identity)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SpiffeId, &Entry)> {
        self.entries.iter()
    }

    /// Up to `most` identities to ask for now, marked as asked for, and how long until the next one is due. Those that have
    /// no certificate come first: somebody may be waiting.
    pub(crate) fn take_due(&mut self, now: Now, most: usize) -> (Vec<SpiffeId>, Option<Duration>) {
        let mut due = Vec::new();
        let mut next: Option<Duration> = None;
        for (identity, entry) in &self.entries {
            match entry.wait(now) {
                Some(Duration::ZERO) => due.push((entry.current.is_some(), identity.clone())),
                Some(wait) => next = Some(next.map_or(wait, |n| n.min(wait))),
                None => {}
            }
        }
        due.sort_unstable();
        due.truncate(most);
        let due: Vec<_> = due.into_iter().map(|(_, identity)| identity).collect();
        for identity in &due {
            if let Some(entry) = self.entries.get_mut(identity) {
                entry.in_flight = true;
            }
        }
        (due, next)
    }

    /// A new certificate came. An answer for an identity that is not wanted any more is dropped, and its key with it.
    pub(crate) fn issued(&mut self, identity: &SpiffeId, own: Arc<OwnCertificate>, random: f64) {
        if let Some(entry) = self.entries.get_mut(identity) {
            *entry = Entry {
                renew_at: Some(schedule::renew_at(own.not_before, own.not_after, random)),
                current: Some(own),
                ..Entry::default()
            };
        }
    }

    /// An attempt failed; what we have stays. Returns the pause before the next attempt.
    pub(crate) fn failed(
        &mut self,
        identity: &SpiffeId,
        error: Arc<str>,
        now: Now,
        random: f64,
    ) -> Option<Duration> {
        let entry = self.entries.get_mut(identity)?;
        entry.in_flight = false;
        entry.failures = entry.failures.saturating_add(1);
        entry.last_error = Some(error);
        let pause = schedule::pause_after(entry.failures, random);
        entry.retry_at = Some(now.instant + pause);
        Some(pause)
    }
}
