//! How the stream fares, for health checks, metrics and people.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

/// How the stream fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// A stream stands.
    pub connected: bool,
    /// Everything that was asked for was answered, on this stream or on an earlier one.
    pub synced: bool,
    /// Why the last stream ended or did not come about.
    pub last_error: Option<String>,
    /// When a stream was lost or a try failed last.
    pub last_error_at: Option<SystemTime>,
    /// Tries since the last stream that brought none.
    pub failures: u32,
    /// When a response was taken in last.
    pub last_update: Option<SystemTime>,
    /// Streams that came about.
    pub streams: u64,
    /// Responses that were accepted whole.
    pub acks: u64,
    /// Responses with something to refuse.
    pub nacks: u64,
    /// Resources refused in all.
    pub refused_resources: u64,
    /// What was refused last, one line each.
    pub last_refused: Vec<String>,
    /// Responses of types that were never asked for.
    pub unasked: u64,
}

/// Reads and changes the status; all clones share it.
#[derive(Clone, Debug, Default)]
pub struct StatusHandle(Arc<Mutex<Status>>);

impl StatusHandle {
    /// The status now.
    pub fn get(&self) -> Status {
        self.lock().clone()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        // A panic while it was held leaves plain counters: still fit to be read.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
