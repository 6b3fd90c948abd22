//! A timer whose time is moved all the time, and hardly ever comes.
//!
//! A session has another deadline with each response, mostly a later one. To move a timer of tokio costs a lock that all streams share; so this
//! one is left where it is as long as it goes off early enough, and looks then how much longer it has to wait.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// Waits for a moment that may be another one each time.
#[derive(Debug)]
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(super) fn new() -> Self {
        Self(Box::pin(sleep_until(Instant::now())))
    }

    /// Comes back at this moment; without one, never. May be dropped and called again.
    pub(super) async fn at(&mut self, moment: Option<Instant>) {
        let Some(moment) = moment else {
            return std::future::pending().await;
        };
        if self.0.deadline() > moment || self.0.is_elapsed() {
            self.0.as_mut().reset(moment);
        }
        loop {
            self.0.as_mut().await;
            if self.0.deadline() >= moment {
                return;
            }
            self.0.as_mut().reset(moment);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_goes_off_at_the_moment_that_was_given_last_whether_that_is_earlier_or_later() {
        let (begin, mut alarm) = (Instant::now(), Alarm::new());
        let second = Duration::from_secs(1);
        for (given, expected) in [(3, 3), (9, 9), (9, 9)] {
            alarm.at(Some(begin + given * second)).await;
            assert_eq!(begin.elapsed(), expected * second);
        }
        // Given up, then later, then earlier than what it waits for.
        for later in [20, 30] {
            let waits = alarm.at(Some(begin + later * second));
            timeout(second / 2, waits).await.unwrap_err();
        }
        alarm.at(Some(begin + 12 * second)).await;
        assert_eq!(begin.elapsed(), 12 * second);
        alarm.at(Some(begin + 40 * second)).await;
        assert_eq!(begin.elapsed(), 40 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_moment_it_never_goes_off() {
        let mut alarm = Alarm::new();
        let day = Duration::from_secs(86_400);
        timeout(day, alarm.at(None)).await.unwrap_err();
    }
}
