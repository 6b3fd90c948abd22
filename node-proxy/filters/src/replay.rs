//! A request's body that can be sent again.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame, SizeHint};

use crate::{Body, BoxError, boxed};

/// How much of a body is kept so that it can be sent again, in bytes.
pub(crate) const KEPT: usize = 64 * 1024;

/// A body that is kept, up to a limit, while it is sent. One that is longer can be sent only once.
pub(crate) struct Replay(Arc<Mutex<Shared>>);

/// An older try reads a body that a newer one has taken over.
#[derive(Debug, thiserror::Error)]
#[error("the request is being tried again")]
struct Superseded;

struct Shared {
    /// What has not been read yet.
    rest: Body,
    kept: Vec<Kept>,
    size: usize,
    limit: usize,
    /// Something has passed that was not kept.
    lost: bool,
    current_try: u32,
}

#[derive(Clone)]
enum Kept {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl Replay {
    pub(crate) fn new(body: Body, limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            rest: body,
            kept: Vec::new(),
            size: 0,
            limit,
            lost: false,
            current_try: 0,
        })))
    }

    /// Whether a further try would send the whole body.
    pub(crate) fn is_whole(&self) -> bool {
        !lock(&self.0).lost
    }

    /// The body for a new try; the try before gets no more of it.
    pub(crate) fn next_try(&self) -> Body {
        let mut shared = lock(&self.0);
        shared.current_try += 1;
        if shared.kept.is_empty() && shared.rest.is_end_stream() {
            // Nothing to send: tell it by the type, so that no framing is needed.
            return crate::empty();
        }
        let number = shared.current_try;
        // The try looks into it at once.
        drop(shared);
        boxed(Try {
            number,
            next: 0,
            shared: Arc::clone(&self.0),
        })
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // One thread at a time by design; a panic in between leaves the state whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        if self.lost {
            return;
        }
        let (kept, size) = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => (Kept::Data(data.clone()), data.len()),
            (None, Some(trailers)) => (Kept::Trailers(trailers.clone()), 0),
            (None, None) => return,
        };
        self.size += size;
        if self.size > self.limit {
            self.lost = true;
            self.kept = Vec::new();
        } else {
            self.kept.push(kept);
        }
    }
}

struct Try {
    number: u32,
    next: usize,
    shared: Arc<Mutex<Shared>>,
}

impl http_body::Body for Try {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let mut shared = lock(&this.shared);
        if shared.current_try != this.number {
            return Poll::Ready(Some(Err(Superseded.into())));
        }
        if let Some(kept) = shared.kept.get(this.next) {
            this.next += 1;
            return Poll::Ready(Some(Ok(match kept.clone() {
                Kept::Data(data) => Frame::data(data),
                Kept::Trailers(trailers) => Frame::trailers(trailers),
            })));
        }
        let frame = ready!(Pin::new(&mut shared.rest).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => shared.keep(frame),
            // A broken body cannot be sent again.
            Some(Err(_)) => shared.lost = true,
            None => {}
        }
        this.next = shared.kept.len();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        let shared = lock(&self.shared);
        self.next >= shared.kept.len() && shared.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let shared = lock(&self.shared);
        let ahead: u64 = shared
            .kept
            .iter()
            .skip(self.next)
            .map(|kept| match kept {
                Kept::Data(data) => data.len() as u64,
                Kept::Trailers(_) => 0,
            })
            .sum();
        let rest = shared.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(ahead));
        if let Some(upper) = rest.upper().and_then(|upper| upper.checked_add(ahead)) {
            hint.set_upper(upper);
        }
        hint
    }
}
