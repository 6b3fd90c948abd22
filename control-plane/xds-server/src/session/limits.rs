//! What one stream may ask for.

use std::time::{Duration, Instant};

/// Bounds of one stream, and its pace.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Names that may be subscribed to, of each type.
    pub names: usize,
    /// Bytes of all names that are subscribed to on the stream, of all types together; each counts [`NAME_COST`] more than its length.
    pub name_bytes: usize,
    /// Longest name, in bytes.
    pub name_length: usize,
    /// Requests a second, over time. Each response is answered by one, so this is far above need.
    pub requests_per_second: u32,
    /// Requests that may come at once.
    pub burst: u32,
    /// Bytes of resources in one response, where a change can be told in several. Below the 4 MiB that gRPC clients
    /// accept by default.
    pub response_bytes: usize,
    /// How long a response may stay unanswered before the types behind it are sent nevertheless.
    pub answer_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            names: 100_000,
            name_bytes: 32 << 20,
            name_length: 1024,
            requests_per_second: 500,
            burst: 5_000,
            response_bytes: 2 << 20,
            answer_timeout: Duration::from_secs(5),
        }
    }
}

/// What a subscription costs beside the bytes of its name: its place in the set, and what is noted about it until it is answered.
pub const NAME_COST: usize = 128;

/// Why a stream is ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Too many subscriptions.
    #[error("more than {limit} names of type {type_url} subscribed to on one stream")]
    Names {
        /// The type asked for.
        type_url: String,
        /// How many are allowed.
        limit: usize,
    },
    /// Too much memory for subscriptions.
    #[error("the names subscribed to on one stream take more than {limit} bytes")]
    NameBytes {
        /// How many are allowed.
        limit: usize,
    },
    /// A name that no resource has.
    #[error("a resource name has {length} bytes, {limit} are allowed")]
    NameLength {
        /// Its length.
        length: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// Too many requests.
    #[error("more than {0} requests a second")]
    Rate(u32),
}

/// Token bucket of requests.
#[derive(Debug)]
pub(super) struct Budget {
    tokens: f64,
    last: Option<Instant>,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            tokens: f64::from(limits.burst),
            last: None,
        }
    }

    pub(super) fn spend(&mut self, limits: &Limits, now: Instant) -> Result<(), Violation> {
        let last = self.last.replace(now).unwrap_or(now);
        let earned = now.saturating_duration_since(last).as_secs_f64()
            * f64::from(limits.requests_per_second);
        self.tokens = (self.tokens + earned).min(f64::from(limits.burst)) - 1.0;
        if self.tokens < 0.0 {
            return Err(Violation::Rate(limits.requests_per_second));
        }
        Ok(())
    }
}
