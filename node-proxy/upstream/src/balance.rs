//! Choosing an endpoint: the less busy one of two drawn at random (power of two choices).
//!
//! Pure: the time and the random number are given.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use heddle_config::{Endpoint, EndpointHealth};

use crate::{ewma::PeakEwma, rest::Rest};

/// How busy one endpoint is, as this worker sees it. Shared by all clusters that have the endpoint.
///
/// Only one thread works with it; it is `Sync` because response bodies hold it, and those must be `Send`.
#[derive(Debug, Default)]
pub(crate) struct EndpointLoad {
    pending: AtomicU32,
    learned: Mutex<Learned>,
}

/// What earlier connections and requests have shown.
#[derive(Debug, Default)]
struct Learned {
    latency: PeakEwma,
    rest: Rest,
}

impl EndpointLoad {
    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has answered.
    pub(crate) fn observe(&self, now: Instant, latency: Duration) {
        let mut learned = self.learned();
        learned.latency.observe(now, latency);
        learned.rest = Rest::default();
    }

    /// A request broke.
    pub(crate) fn fail(&self, now: Instant) {
        self.learned().latency.fail(now);
    }

    /// It could not be connected: besides being taken for slow, it is left alone for a while.
    pub(crate) fn fail_to_connect(&self, now: Instant) {
        let mut learned = self.learned();
        learned.latency.fail(now);
        learned.rest.begin(now);
    }

    /// It is left alone because it could not be connected.
    fn rests(&self, now: Instant) -> bool {
        self.learned().rest.lasts(now)
    }

    /// Counts a connection or request as pending until the value is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Pending {
        self.pending.fetch_add(1, Ordering::Relaxed);
        Pending(self.clone())
    }

    fn pending(&self) -> u32 {
        self.pending.load(Ordering::Relaxed)
    }

    fn latency(&self, now: Instant) -> Option<f64> {
        self.learned().latency.value(now)
    }

    /// Whether this one is less busy than another. While one of them was never measured, only what is pending counts: a new
    /// endpoint is neither flooded nor starved.
    fn is_below(&self, other: &Self, now: Instant) -> bool {
        let (mine, theirs) = (f64::from(self.pending()), f64::from(other.pending()));
        match (self.latency(now), other.latency(now)) {
            (Some(a), Some(b)) => a * (mine + 1.0) < b * (theirs + 1.0),
            _ => mine < theirs,
        }
    }
}

/// A connection or request that is under way.
#[derive(Debug)]
pub(crate) struct Pending(Arc<EndpointLoad>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An endpoint that may be chosen.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) address: SocketAddr,
    pub(crate) load: Arc<EndpointLoad>,
    weight: u32,
}

/// The endpoints of a cluster that may be chosen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Balancer {
    candidates: Vec<Candidate>,
    /// Sum of the weights up to and with each candidate.
    bounds: Vec<u64>,
}

impl Balancer {
    /// The healthy ones; the draining ones only if there is no healthy one.
    pub(crate) fn new(
        endpoints: &[Endpoint],
        mut load: impl FnMut(SocketAddr) -> Arc<EndpointLoad>,
    ) -> Self {
        let healthy = endpoints
            .iter()
            .any(|e| e.health == EndpointHealth::Healthy);
        let candidates = endpoints
            .iter()
            .filter(|e| !healthy || e.health == EndpointHealth::Healthy)
            .map(|e| Candidate {
                address: e.address,
                load: load(e.address),
                weight: e.weight.max(1),
            });
        Self::of(candidates.collect())
    }

    fn of(candidates: Vec<Candidate>) -> Self {
        let mut sum = 0;
        let bounds = candidates
            .iter()
            .map(|candidate| {
                sum += u64::from(candidate.weight);
                sum
            })
            .collect();
        Self { candidates, bounds }
    }

    /// Those for which this holds.
    fn only(&self, keep: impl Fn(&Candidate) -> bool) -> Self {
        let left = self.candidates.iter().filter(|candidate| keep(candidate));
        Self::of(left.cloned().collect())
    }

    /// Chooses one that is not in `tried`; one that rests only if all of them do. Every number of the full range may be given.
    pub(crate) fn pick(
        &self,
        tried: &[SocketAddr],
        now: Instant,
        random: u64,
    ) -> Option<Candidate> {
        if tried.is_empty() {
            self.pick_rested(now, random)
        } else {
            self.only(|candidate| !tried.contains(&candidate.address))
                .pick_rested(now, random)
        }
    }

    fn pick_rested(&self, now: Instant, random: u64) -> Option<Candidate> {
        let picked = self.pick_any(now, random)?;
        if picked.load.rests(now) {
            // Both that were drawn rest. Rare, so that looking at all others costs nothing on the whole.
            let rested = self.only(|candidate| !candidate.load.rests(now));
            if let Some(better) = rested.pick_any(now, random) {
                return Some(better.clone());
            }
        }
        Some(picked.clone())
    }

    fn pick_any(&self, now: Instant, random: u64) -> Option<&Candidate> {
        let (first, second) = self.draw(random)?;
        let first = &self.candidates[first];
        let Some(second) = second.map(|index| &self.candidates[index]) else {
            return Some(first);
        };
        let second_is_better = match (first.load.rests(now), second.load.rests(now)) {
            (true, false) => true,
            (false, true) => false,
            _ => second.load.is_below(&first.load, now),
        };
        Some(if second_is_better { second } else { first })
    }

    /// Two different ones by weight; the second one `None` if there is only one.
    fn draw(&self, random: u64) -> Option<(usize, Option<usize>)> {
        let total = *self.bounds.last()?;
        let (high, low) = (random >> 32, random & u64::from(u32::MAX));
        let first = self.at(scale(high, total));
        let weight = u64::from(self.candidates[first].weight);
        let rest = total - weight;
        if rest == 0 {
            return Some((first, None));
        }
        // A point on the line with the first one's stretch cut out.
        let point = scale(low, rest);
        let start = self.bounds[first] - weight;
        let point = if point < start { point } else { point + weight };
        Some((first, Some(self.at(point))))
    }

    /// Whose stretch a point below the total is in.
    fn at(&self, point: u64) -> usize {
        self.bounds.partition_point(|bound| *bound <= point)
    }
}

/// A 32-bit random number as a number below `limit`, without a division.
fn scale(random: u64, limit: u64) -> u64 {
    ((u128::from(random) * u128::from(limit)) >> 32) as u64
}
