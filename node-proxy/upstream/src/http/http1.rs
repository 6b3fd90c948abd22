//! HTTP/1.1: one request at a time in a connection, which is kept for the next.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;

use super::client::http1_client;
use crate::{
    Body, BoxError, DialError,
    balance::Pending,
    dial::{Dialed, Way},
};

/// A connection on which a request can be sent.
pub(crate) struct Http1 {
    pub(crate) sender: SendRequest<Body>,
    way: Way,
    pub(crate) idle: Arc<Idle>,
}

/// The connections of one origin to one endpoint that wait for a request.
///
/// Only one thread works with it; it is `Sync` because response bodies hold it, and those must be `Send`.
pub(crate) struct Idle {
    waiting: Mutex<Vec<Waiting>>,
    most: usize,
}

struct Waiting {
    sender: SendRequest<Body>,
    way: Way,
    since: Instant,
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
        while let Some(Waiting { sender, way, .. }) = waiting.pop() {
            if sender.is_ready() && way.lasts() {
                return Some(Http1 {
                    sender,
                    way,
                    idle: self.clone(),
                });
            }
        }
        None
    }

    fn put(&self, sender: SendRequest<Body>, way: Way) {
        let mut waiting = self.waiting();
        if waiting.len() < self.most {
            let since = Instant::now();
            waiting.push(Waiting { sender, way, since });
        }
    }

    /// Closes those that waited too long; tells whether any are left.
    pub(crate) fn sweep(&self, now: Instant, idle: Duration) -> bool {
        let mut waiting = self.waiting();
        waiting.retain(|Waiting { sender, way, since }| {
            let fresh = now.saturating_duration_since(*since) < idle;
            !sender.is_closed() && way.lasts() && fresh
        });
        !waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting().len()
    }
}

/// Speaks HTTP/1.1 over a new connection.
pub(crate) async fn handshake(
    Dialed { io, way }: Dialed,
    idle: Arc<Idle>,
) -> Result<Http1, DialError> {
    let (sender, connection) = http1_client()
        .handshake(TokioIo::new(io))
        .await
        .map_err(DialError::Http)?;
    tokio::task::spawn_local(async move {
        // With upgrades: after 101 the connection's bytes belong to whoever asks for them.
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "HTTP/1.1 connection ended");
        }
    });
    Ok(Http1 { sender, way, idle })
}

/// A response's body that gives its connection back when it has been read to the end.
pub(crate) struct Http1Body {
    incoming: Incoming,
    connection: Option<Http1>,
    _pending: Pending,
}

impl Http1Body {
    pub(crate) fn boxed(incoming: Incoming, connection: Http1, pending: Pending) -> Body {
        let mut body = Self {
            incoming,
            connection: Some(connection),
            _pending: pending,
        };
        if body.incoming.is_end_stream() {
            body.give_back();
        }
        body.boxed_unsync()
    }

    /// Usually the connection is ready at once; not if the request's body is still being sent.
    fn give_back(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let Http1 {
            mut sender,
            way,
            idle,
        } = connection;
        if sender.is_ready() {
            idle.put(sender, way);
        } else if !sender.is_closed() {
            tokio::task::spawn_local(async move {
                if sender.ready().await.is_ok() {
                    idle.put(sender, way);
                }
            });
        }
    }
}

impl http_body::Body for Http1Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if frame.is_none() || self.incoming.is_end_stream() {
            self.give_back();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
