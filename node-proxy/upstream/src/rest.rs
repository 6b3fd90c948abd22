//! How long an endpoint is left alone that could not be connected.
//!
//! Pure: times are given.

use std::time::{Duration, Instant};

/// After the first failure in a row; each further one doubles it.
const SHORTEST: Duration = Duration::from_secs(1);
/// A pod that has come back is found again after at most this time.
const LONGEST: Duration = Duration::from_secs(30);

/// The rest of one endpoint. A connection to a pod that has died fails only after the whole time allowed for connecting: without a
/// rest every request that draws it would pay that again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rest {
    failures: u32,
    until: Option<Instant>,
}

impl Rest {
    /// It could not be connected. Failures during a rest (of connections that had begun before) do not make it longer.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.lasts(now) {
            return;
        }
        let rest = SHORTEST
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        self.until = now.checked_add(rest);
    }

    /// Whether it is to be left alone.
    pub(crate) fn lasts(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}
