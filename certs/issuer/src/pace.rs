//! How often a node may ask: one token bucket for each.
//!
//! Signing costs the control plane a signature each time, and a node proxy that went wild, or a token that was stolen, must not take that from the
//! other nodes. Pure: the clock is a parameter.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

/// How often a node may ask for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// So many at once, after a pause: more than service accounts fit on a node (a proxy that starts asks for all of them).
    pub burst: u32,
    /// So many more in each second.
    pub per_second: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            burst: 500,
            per_second: 10,
        }
    }
}

/// A node that has asked too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany {
    /// When it may ask again.
    pub(crate) after: Duration,
    /// Whether its last request was still within the pace: the one to tell of in the log.
    pub(crate) first: bool,
}

/// The buckets of all nodes.
#[derive(Debug)]
pub(crate) struct Buckets {
    pace: Pace,
    nodes: HashMap<Arc<str>, Bucket>,
    /// Full buckets are forgotten when there are this many.
    sweep_at: usize,
}

/// Counts in time: a bucket is full at `full_at`, and each request takes a step further from it.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    full_at: Instant,
    refused: bool,
}

/// Below this many buckets nothing is forgotten.
const FEW: usize = 1024;

impl Buckets {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            nodes: HashMap::new(),
            sweep_at: FEW,
        }
    }

    /// Takes one request out of a node's bucket.
    pub(crate) fn take(&mut self, node: &Arc<str>, now: Instant) -> Result<(), TooMany> {
        let step = Duration::from_secs(1) / self.pace.per_second.max(1);
        let depth = step * self.pace.burst.max(1);
        self.sweep(now);
        let bucket = self.nodes.entry(Arc::clone(node)).or_insert(Bucket {
            full_at: now,
            refused: false,
        });
        let full_at = bucket.full_at.max(now) + step;
        let allowed = full_at <= now + depth;
        let first = !std::mem::replace(&mut bucket.refused, !allowed);
        if !allowed {
            let after = full_at.duration_since(now + depth);
            return Err(TooMany { after, first });
        }
        bucket.full_at = full_at;
        Ok(())
    }

    fn sweep(&mut self, now: Instant) {
        if self.nodes.len() >= self.sweep_at {
            self.nodes.retain(|_, bucket| bucket.full_at > now);
            self.sweep_at = FEW.max(self.nodes.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests;
