//! How closely updates follow each other.
//!
//! Each update costs every client a response and an answer, however little is in it. A rollout changes a hundred objects a second;
//! put together, they cost a fraction of what they cost one by one, and a lone change does not wait.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Keeps what is taken apart: the first at once, each other no sooner than [`LEAST`](Self::LEAST) after the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
}

impl Pace {
    /// The least time from one to the next. Far below what anybody waits for, and long enough that 500 clients are done with the one before
    /// (`docs/performance.md`, "The control plane's stream").
    pub const LEAST: Duration = Duration::from_millis(40);

    /// Waits until the next may be taken. Cancel-safe.
    pub async fn ready(&self) {
        if let Some(last) = self.last {
            sleep_until(last + Self::LEAST).await;
        }
    }

    /// One is taken now.
    pub fn taken(&mut self) {
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long it takes until the next may be taken.
    async fn wait(pace: &Pace) -> Duration {
        let begin = Instant::now();
        pace.ready().await;
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_and_whatever_comes_late_goes_at_once_and_what_comes_early_waits() {
        let mut pace = Pace::default();
        assert_eq!(wait(&pace).await, Duration::ZERO);
        pace.taken();
        tokio::time::advance(Duration::from_millis(10)).await;
        assert_eq!(wait(&pace).await, Pace::LEAST - Duration::from_millis(10));
        pace.taken();
        tokio::time::advance(Pace::LEAST * 2).await;
        assert_eq!(wait(&pace).await, Duration::ZERO);
    }
}
