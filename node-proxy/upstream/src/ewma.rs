//! How busy an endpoint is: a peak-sensitive, exponentially weighted average of its latency, times what is pending.
//!
//! Pure: times are given.

use std::time::{Duration, Instant};

/// After this time a measurement weighs 1/e.
const DECAY: Duration = Duration::from_secs(10);
/// What a failure counts as, at least.
const FAILURE: Duration = Duration::from_secs(1);
/// Below this, differences are noise; it keeps a long-idle endpoint's load above zero, so that what is pending still counts.
const FLOOR: f64 = 1e-5;

/// Latency in seconds. Rises at once with a slow answer and falls slowly with fast ones, so that an endpoint that begins to fail is
/// left alone quickly; decays while nothing is measured, so that it is tried again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PeakEwma {
    measured: Option<(f64, Instant)>,
}

impl PeakEwma {
    /// Takes a measurement in.
    pub(crate) fn observe(&mut self, now: Instant, latency: Duration) {
        let new = latency.as_secs_f64();
        let value = match self.measured {
            Some((old, at)) if new < old => {
                let weight = weight(now.saturating_duration_since(at));
                old * weight + new * (1.0 - weight)
            }
            _ => new,
        };
        self.measured = Some((value, now));
    }

    /// Takes a failure in: worse than anything seen lately.
    pub(crate) fn fail(&mut self, now: Instant) {
        let doubled = self.value(now).map(|v| Duration::from_secs_f64(v * 2.0));
        let penalty = doubled.unwrap_or_default().clamp(FAILURE, FAILURE * 10);
        self.observe(now, penalty);
    }

    /// The latency to expect, in seconds; `None` if nothing was ever measured.
    pub(crate) fn value(&self, now: Instant) -> Option<f64> {
        let (value, at) = self.measured?;
        Some((value * weight(now.saturating_duration_since(at))).max(FLOOR))
    }
}

fn weight(elapsed: Duration) -> f64 {
    (-elapsed.as_secs_f64() / DECAY.as_secs_f64()).exp()
}
