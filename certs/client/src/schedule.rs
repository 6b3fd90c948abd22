//! When to ask: pure functions of times and random numbers.

use std::time::{Duration, SystemTime};

/// First pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// Renewal happens at half life, give or take this share of the whole life, so that certificates that were issued at the same
/// moment (a node's start) are not renewed at the same moment.
const RENEWAL_SPREAD: f64 = 0.05;

/// When a certificate is to be renewed: at half life with jitter. `random` is in 0..1.
pub(crate) fn renew_at(not_before: SystemTime, not_after: SystemTime, random: f64) -> SystemTime {
    let life = not_after.duration_since(not_before).unwrap_or_default();
    let share = 0.5 + (random.clamp(0.0, 1.0) * 2.0 - 1.0) * RENEWAL_SPREAD;
    not_before + life.mul_f64(share)
}

/// How long to wait after the `failures`-th failure in a row (1 and up): 0.5 s, doubled each time, at most 3 s, of which a
/// random part of up to a half is taken off. `random` is in 0..1.
pub(crate) fn pause_after(failures: u32, random: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let full = FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE);
    full.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}
