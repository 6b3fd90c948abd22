//! Tells each problem once when it appears, and once when it is gone.

use std::collections::BTreeSet;

/// Remembers what was told.
#[derive(Debug, Default)]
pub(crate) struct Problems(BTreeSet<String>);

impl Problems {
    pub(crate) fn tell(&mut self, now: &BTreeSet<String>) {
        for problem in now.difference(&self.0) {
            tracing::warn!("problem: {problem}");
        }
        for problem in self.0.difference(now) {
            tracing::info!("solved: {problem}");
        }
        self.0.clone_from(now);
    }
}
