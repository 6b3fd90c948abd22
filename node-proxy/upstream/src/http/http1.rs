//! HTTP/1.1: one request at a time in a connection, which is kept for the next.
//!
//! A connection has no task. The one who sends a request drives it, the one who reads the response's body afterwards; while it waits for a request
//! nobody does, and it has no buffers.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use heddle_http1::Ahead;

use crate::{
    BoxedIo,
    dial::{Dialed, Way},
};

/// A connection on which a request can be sent.
pub(crate) struct Http1 {
    pub(super) io: BoxedIo,
    pub(super) ahead: Ahead,
    way: Way,
    idle: Arc<Idle>,
}

/// The connections of one origin to one endpoint that wait for a request.
///
/// Only one thread works with it; it is `Sync` because response bodies hold it, and those must be `Send`.
pub(crate) struct Idle {
    waiting: Mutex<Vec<Waiting>>,
    most: usize,
}

struct Waiting {
    io: BoxedIo,
    way: Way,
    /// When it was first swept and stayed. To read the clock each time that a connection is put back would be a good part of that.
    since: Option<Instant>,
}

impl Waiting {
    /// Open, with nothing to read: a server that says something unasked is out of step, or has said that it closes.
    fn is_usable(&mut self) -> bool {
        self.way.lasts() && Ahead::default().is_quiet(&mut self.io)
    }
}

impl Idle {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            most,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last: it is the least likely to be closed, and the others get to rest and go.
    pub(crate) fn take(self: &Arc<Self>) -> Option<Http1> {
        let mut waiting = self.waiting();
        while let Some(mut last) = waiting.pop() {
            if last.is_usable() {
                return Some(Http1 {
                    io: last.io,
                    ahead: Ahead::default(),
                    way: last.way,
                    idle: Arc::clone(self),
                });
            }
        }
        None
    }

    fn put(&self, io: BoxedIo, way: Way) {
        let mut waiting = self.waiting();
        if waiting.len() < self.most {
            waiting.push(Waiting {
                io,
                way,
                since: None,
            });
        }
    }

    /// Closes those that have waited for too long since a sweep met them first; tells whether any are left.
    pub(crate) fn sweep(&self, now: Instant, idle: Duration) -> bool {
        let mut waiting = self.waiting();
        waiting.retain_mut(|one| {
            let since = *one.since.get_or_insert(now);
            let fresh = now.saturating_duration_since(since) < idle;
            fresh && one.is_usable()
        });
        !waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting().len()
    }
}

impl Http1 {
    /// A new connection, which will wait among these others.
    pub(crate) fn new(Dialed { io, way }: Dialed, idle: Arc<Idle>) -> Self {
        Self {
            io,
            ahead: Ahead::default(),
            way,
            idle,
        }
    }

    /// Request and response have ended: the connection waits for the next. One on which more came than was asked for is closed.
    pub(super) fn give_back(self) {
        if self.ahead.is_empty() {
            self.idle.put(self.io, self.way);
        }
    }
}
