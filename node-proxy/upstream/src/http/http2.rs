//! HTTP/2: many requests at once in a connection.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;

use super::client::http2_client;
use crate::{Body, BoxError, BoxedIo, DialError, balance::Pending, dial::Way};

/// A request's place in a connection.
pub(crate) struct Http2 {
    pub(crate) sender: SendRequest<Body>,
    active: Active,
}

/// Counts a request for as long as its response is not at its end.
struct Active(Arc<AtomicUsize>);

impl Active {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The connections of one origin to one endpoint.
#[derive(Default)]
pub(crate) struct Shared {
    connections: RefCell<Vec<Connection>>,
    /// Held while a connection is being made, so that a storm of requests makes one and not hundreds.
    pub(crate) making: Mutex<()>,
}

struct Connection {
    sender: SendRequest<Body>,
    way: Way,
    active: Arc<AtomicUsize>,
    used: Instant,
}

impl Shared {
    /// A place in a connection that has less than `most` requests.
    pub(crate) fn take(&self, most: usize) -> Option<Http2> {
        let mut connections = self.connections.borrow_mut();
        connections.retain(|connection| !connection.sender.is_closed() && connection.way.lasts());
        // An endpoint that allows fewer makes the rest wait inside the connection (RFC 9113 section 5.1.2).
        let connection = connections
            .iter_mut()
            .find(|connection| connection.active.load(Ordering::Relaxed) < most)?;
        connection.used = Instant::now();
        Some(connection.place())
    }

    /// Adds a new connection and takes a place in it.
    pub(crate) fn add(&self, sender: SendRequest<Body>, way: Way) -> Http2 {
        let connection = Connection {
            sender,
            way,
            active: Arc::default(),
            used: Instant::now(),
        };
        let place = connection.place();
        self.connections.borrow_mut().push(connection);
        place
    }

    /// Closes those that had no request for `idle`; tells whether any are left.
    pub(crate) fn sweep(&self, now: Instant, idle: Duration) -> bool {
        let mut connections = self.connections.borrow_mut();
        connections.retain_mut(|connection| {
            if connection.active.load(Ordering::Relaxed) > 0 {
                connection.used = now;
            }
            !connection.sender.is_closed() && now.saturating_duration_since(connection.used) < idle
        });
        !connections.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.borrow().len()
    }
}

impl Connection {
    fn place(&self) -> Http2 {
        Http2 {
            sender: self.sender.clone(),
            active: Active::new(&self.active),
        }
    }
}

/// Speaks HTTP/2 (prior knowledge) over a new connection.
pub(crate) async fn handshake(io: BoxedIo) -> Result<SendRequest<Body>, DialError> {
    let (sender, connection) = http2_client(OnThisThread)
        .handshake(TokioIo::new(io))
        .await
        .map_err(DialError::Http)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "HTTP/2 connection ended");
        }
    });
    Ok(sender)
}

#[derive(Clone, Copy)]
struct OnThisThread;

impl<F> hyper::rt::Executor<F> for OnThisThread
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

/// A response's body that counts as a request until it ends.
pub(crate) struct Http2Body {
    incoming: Incoming,
    _active: Active,
    _pending: Pending,
}

impl Http2Body {
    pub(crate) fn boxed(incoming: Incoming, place: Http2, pending: Pending) -> Body {
        let body = Self {
            incoming,
            _active: place.active,
            _pending: pending,
        };
        Body::streamed(body)
    }
}

impl http_body::Body for Http2Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
