//! How long to wait before the next attempt.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

/// The pause after the first failure; it doubles with each further one.
const FIRST: Duration = Duration::from_millis(500);
/// The longest, without its jitter of a fifth: a CRD that is installed is seen within ten seconds.
const LONGEST: Duration = Duration::from_secs(8);

/// Grows with each failure.
#[derive(Debug, Default)]
pub(super) struct Pause {
    failures: u32,
}

impl Pause {
    /// All is well again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// After one more failure. Not the same for all kinds and replicas, so that they do not come all at once.
    pub(super) fn next(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause + pause.mul_f64(0.2 * random())
    }
}

/// From 0 to 1.
fn random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 11;
    bits as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_less_than_ten_seconds_and_begin_anew_after_a_success() {
        let mut pause = Pause::default();
        let pauses: Vec<Duration> = (0..20).map(|_| pause.next()).collect();
        assert!(pauses[0] >= FIRST && pauses[0] < Duration::from_millis(601));
        assert!(pauses[19] >= LONGEST && pauses.iter().max() < Some(&Duration::from_secs(10)));
        pause.reset();
        assert!(pause.next() < Duration::from_secs(1));
    }
}
