//! Families of series that cannot grow without bound.

use std::{
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use prometheus_client::metrics::family::{Family, MetricConstructor};

/// A family with at most so many series. What would be one too many is counted in one more, the overflow series:
/// totals stay right, and a client that invents values cannot fill the memory.
#[derive(Clone)]
pub(crate) struct BoundedFamily<S, M, C = fn() -> M> {
    family: Family<S, M, C>,
    /// How many more there may be.
    room: Arc<AtomicUsize>,
    overflow: Arc<S>,
}

impl<S, M, C> BoundedFamily<S, M, C>
where
    S: Clone + Hash + Eq,
    M: Clone,
    C: MetricConstructor<M>,
{
    pub(crate) fn new(constructor: C, limit: usize, overflow: S) -> Self {
        Self {
            family: Family::new_with_constructor(constructor),
            room: Arc::new(AtomicUsize::new(limit)),
            overflow: Arc::new(overflow),
        }
    }

    /// The series of these labels: a handle that is cheap to keep.
    pub(crate) fn series(&self, labels: &S) -> M {
        if let Some(series) = self.family.get(labels) {
            return series.clone();
        }
        // Two threads that bring the same new labels at once both take a place: then one place is never used.
        let place = self
            .room
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
                room.checked_sub(1)
            });
        match place {
            Ok(_) => self.family.get_or_create_owned(labels),
            Err(_) => self.family.get_or_create_owned(&self.overflow),
        }
    }

    /// The family, to register it.
    pub(crate) fn family(&self) -> Family<S, M, C>
    where
        C: Clone,
    {
        self.family.clone()
    }
}
