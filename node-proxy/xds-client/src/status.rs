//! How the stream is doing, for metrics and the admin interface.

use std::{collections::BTreeMap, sync::Mutex, time::Instant};

use crate::Refusal;

/// Shared by the client, which writes it, and whoever wants to know.
#[derive(Debug, Default)]
pub struct Status(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    connected_since: Option<Instant>,
    last_error: Option<String>,
    connections: u64,
    types: BTreeMap<String, TypeStatus>,
}

/// What became of one type's responses.
#[derive(Clone, Debug, Default)]
pub struct TypeStatus {
    /// Responses that were taken whole.
    pub acknowledged: u64,
    /// Responses of which something was refused.
    pub refused: u64,
    /// What was refused last, one line for each resource; empty since a response was taken whole.
    pub last_refusal: String,
    /// When something came last.
    pub updated: Option<Instant>,
}

impl Status {
    /// Since when the stream stands; `None`: it does not.
    pub fn connected_since(&self) -> Option<Instant> {
        self.lock().connected_since
    }

    /// Why the last stream ended or could not be opened.
    pub fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// Streams opened so far.
    pub fn connections(&self) -> u64 {
        self.lock().connections
    }

    /// By type URL.
    pub fn types(&self) -> BTreeMap<String, TypeStatus> {
        self.lock().types.clone()
    }

    pub(crate) fn connected(&self) {
        let mut inner = self.lock();
        inner.connected_since = Some(Instant::now());
        inner.connections += 1;
    }

    pub(crate) fn lost(&self, error: &str) {
        let mut inner = self.lock();
        inner.connected_since = None;
        inner.last_error = Some(error.to_owned());
    }

    pub(crate) fn answered(&self, type_url: &str, refusals: &[Refusal]) {
        let mut inner = self.lock();
        let status = inner.types.entry(type_url.to_owned()).or_default();
        status.updated = Some(Instant::now());
        if refusals.is_empty() {
            status.acknowledged += 1;
        } else {
            status.refused += 1;
        }
        let lines = refusals.iter();
        let lines: Vec<_> = lines
            .map(|r| format!("{}: {}", r.name, r.message))
            .collect();
        status.last_refusal = lines.join("\n");
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Plain assignments under the lock: a panic elsewhere leaves nothing half done.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
