//! Each thread's own handles of the series that it counts in.

use std::{
    cell::RefCell,
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
};

use foldhash::fast::RandomState;
use prometheus_client::metrics::{counter::Counter, histogram::Histogram};

use crate::RequestLabels;

/// Handles that one thread keeps. Beyond, it forgets all and begins anew: what is in use comes back at once.
const KEPT: usize = 4096;

/// Where one kind of requests is counted.
#[derive(Clone)]
pub(crate) struct RequestHandles {
    pub(crate) count: Counter,
    pub(crate) duration: Histogram,
}

/// Finds the handles of requests without touching what the threads share: no lock, and no label is copied.
pub(crate) struct RequestCache {
    /// Which cache the thread's handles are of: in tests there are several in one process.
    id: u64,
}

#[derive(Default)]
struct Kept {
    of: u64,
    handles: HashMap<RequestLabels, RequestHandles, RandomState>,
    /// What was counted last: most often the same is counted next.
    last: Option<(RequestLabels, RequestHandles)>,
}

thread_local! {
    static KEPT_HERE: RefCell<Kept> = RefCell::default();
}

impl RequestCache {
    pub(crate) fn new() -> Self {
        // 0 is nobody's: what a thread begins with.
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Gives the handles of these labels to `count`; `find` finds them the first time.
    pub(crate) fn with(
        &self,
        labels: &RequestLabels,
        find: impl FnOnce() -> RequestHandles,
        count: impl FnOnce(&RequestHandles),
    ) {
        KEPT_HERE.with_borrow_mut(|kept| {
            if kept.of != self.id || kept.handles.len() >= KEPT {
                kept.of = self.id;
                kept.handles.clear();
                kept.last = None;
            }
            if let Some((last, handles)) = &kept.last
                && last == labels
            {
                return count(handles);
            }
            let handles = match kept.handles.get(labels) {
                Some(handles) => handles.clone(),
                None => {
                    let handles = find();
                    kept.handles.insert(labels.clone(), handles.clone());
                    handles
                }
            };
            count(&handles);
            kept.last = Some((labels.clone(), handles));
        });
    }
}
