use std::time::{Duration, SystemTime};

use crate::schedule::{pause_after, renew_at};

#[test]
fn a_certificate_is_renewed_about_half_life() {
    let begin = SystemTime::UNIX_EPOCH;
    let end = begin + Duration::from_secs(1000);
    assert_eq!(renew_at(begin, end, 0.5), begin + Duration::from_secs(500));
    assert_eq!(renew_at(begin, end, 0.0), begin + Duration::from_secs(450));
    assert_eq!(renew_at(begin, end, 1.0), begin + Duration::from_secs(550));
}

#[test]
fn a_certificate_that_ends_before_it_begins_is_renewed_at_once() {
    let now = SystemTime::now();
    assert_eq!(renew_at(now, now - Duration::from_secs(1), 0.5), now);
}

#[test]
fn pauses_double_up_to_three_seconds() {
    let seconds: Vec<f64> = (1..=5).map(|n| pause_after(n, 0.0).as_secs_f64()).collect();
    assert_eq!(seconds, [0.5, 1.0, 2.0, 3.0, 3.0]);
    assert_eq!(pause_after(u32::MAX, 0.0), Duration::from_secs(3));
}

#[test]
fn jitter_takes_up_to_half_of_a_pause_off() {
    assert_eq!(pause_after(3, 1.0), Duration::from_secs(1));
    assert!(pause_after(1, 0.7) < pause_after(1, 0.2));
}
