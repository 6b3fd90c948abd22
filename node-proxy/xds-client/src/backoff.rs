//! How long to wait before the next try.

use std::time::Duration;

/// Exponential back-off with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Backoff {
    /// A stream costs the control plane little when nothing changed (each proxy says what it has), and whatever is changed
    /// while it is down waits for the next try: so the longest pause is short.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            longest: Duration::from_secs(2),
        }
    }
}

impl Backoff {
    /// The pause after so many failures in a row; `random` is in 0..1. After none, that is after a stream that had
    /// worked, there is no pause; else it is between half and the whole of `first`, doubled each time.
    pub fn pause(&self, failures: u32, random: f64) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let whole = self
            .first
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(self.longest);
        whole.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}
