//! When questions are due at a fixed rate.
//!
//! A latency counts from the moment at which the question was due. So a proxy is charged for all that it holds up; but it would also be charged when the
//! clients themselves stand still, because something else runs on their core: all that was due meanwhile would be asked at once, and late. This tells
//! the two apart. Clients that had a connection free and nothing to do but to wait were late by themselves; what they missed is not asked later.

use std::time::{Duration, Instant};

/// Clients that are late by more than this stood still. What they do between two looks takes less: an answer takes some microseconds.
const STOOD_STILL: Duration = Duration::from_millis(1);

/// Moments that follow each other by the same time.
#[derive(Debug)]
pub(super) struct Schedule {
    next: Instant,
    every: Duration,
    /// When it was looked at last, a connection was free for whatever comes next.
    is_ready: bool,
    missed: u64,
}

impl Schedule {
    /// `rate` questions a second, from `begin` on.
    pub(super) fn new(rate: f64, begin: Instant) -> Self {
        Self {
            next: begin,
            every: Duration::from_secs_f64(1.0 / rate),
            is_ready: false,
            missed: 0,
        }
    }

    /// The clients look again: what they missed by themselves since the last time is given up.
    pub(super) fn look(&mut self, now: Instant) {
        let late = now.saturating_duration_since(self.next);
        if self.is_ready && late > STOOD_STILL {
            let missed = late.as_nanos() / self.every.as_nanos().max(1);
            let missed = u32::try_from(missed).unwrap_or(u32::MAX);
            self.next += self.every * missed;
            self.missed += u64::from(missed);
        }
        self.is_ready = false;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next <= now
    }

    /// When what is asked now was due.
    pub(super) fn take(&mut self) -> Instant {
        let due = self.next;
        self.next += self.every;
        due
    }

    /// Nothing is due any more for so long; whether a connection is free for what comes then.
    pub(super) fn wait(&mut self, now: Instant, is_ready: bool) -> Duration {
        self.is_ready = is_ready;
        self.next.saturating_duration_since(now)
    }

    /// The clients do something that whoever is measured can make long.
    pub(super) fn may_be_held_up(&mut self) {
        self.is_ready = false;
    }

    /// How many questions were given up since this was asked last.
    pub(super) fn missed(&mut self) -> u64 {
        std::mem::take(&mut self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_micros(100);

    /// The first question has been asked, and nothing is due any more.
    fn waiting(is_ready: bool) -> (Schedule, Instant) {
        let begin = Instant::now();
        let mut schedule = Schedule::new(10_000.0, begin);
        schedule.look(begin);
        assert_eq!(schedule.take(), begin);
        assert_eq!(schedule.wait(begin, is_ready), EVERY);
        (schedule, begin)
    }

    #[test]
    fn what_clients_missed_while_they_stood_still_is_not_asked_later() {
        let (mut schedule, begin) = waiting(true);
        let now = begin + EVERY * 50 + EVERY / 2;
        schedule.look(now);
        assert!(schedule.is_due(now));
        assert_eq!(schedule.take(), begin + EVERY * 50);
        assert!(!schedule.is_due(now), "the schedule itself goes on");
        assert_eq!((schedule.missed(), schedule.missed()), (49, 0));
    }

    #[test]
    fn what_a_proxy_held_up_is_asked_as_soon_as_a_connection_is_free() {
        let (mut schedule, begin) = waiting(false);
        let now = begin + EVERY * 50;
        schedule.look(now);
        for number in 1..=50 {
            assert!(schedule.is_due(now));
            assert_eq!(schedule.take(), begin + EVERY * number);
        }
        assert!(!schedule.is_due(now));
        assert_eq!(schedule.missed(), 0);
    }

    #[test]
    fn clients_that_connected_meanwhile_are_not_taken_for_idle() {
        let (mut schedule, begin) = waiting(true);
        schedule.may_be_held_up();
        schedule.look(begin + EVERY * 50);
        assert_eq!(schedule.take(), begin + EVERY);
        assert_eq!(schedule.missed(), 0);
    }

    #[test]
    fn clients_that_are_a_little_late_ask_all_the_same() {
        let (mut schedule, begin) = waiting(true);
        let now = begin + STOOD_STILL;
        schedule.look(now);
        assert_eq!(schedule.take(), begin + EVERY);
        assert_eq!(schedule.missed(), 0);
    }
}
