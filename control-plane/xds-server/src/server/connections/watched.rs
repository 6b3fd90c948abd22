//! A connection that ends when it has had no stream for too long.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tonic::transport::server::Connected;

use super::{Activity, Place};

/// A connection with its place among all.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    place: Place,
    pub(super) activity: Arc<Activity>,
    limit: Duration,
    /// When it is to be looked at again.
    look: Pin<Box<Sleep>>,
    over: bool,
}

/// What the connection tells about itself.
#[derive(Clone, Debug)]
pub struct ConnectionInfo<I> {
    /// What it would tell if it were not watched.
    pub(super) stream: I,
    pub(super) activity: Arc<Activity>,
}

impl<S> Watched<S> {
    pub(super) fn new(place: Place, stream: S, limit: Duration) -> Self {
        Self {
            stream,
            place,
            activity: Activity::new(),
            limit,
            look: Box::pin(sleep(limit)),
            over: false,
        }
    }

    /// Whether it has had no stream for too long. Once it has, it is over.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        while !self.over && self.look.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let again = match self.activity.idle_since() {
                None => now + self.limit,
                Some(since) => since + self.limit,
            };
            if again <= now {
                self.over = true;
                self.place.note_idle(self.limit);
            } else {
                self.look.as_mut().reset(again);
            }
        }
        self.over
    }
}

/// So that the layer knows the connection of a request.
impl<S: Connected> Connected for Watched<S> {
    type ConnectInfo = ConnectionInfo<S::ConnectInfo>;

    fn connect_info(&self) -> Self::ConnectInfo {
        ConnectionInfo {
            stream: self.stream.connect_info(),
            activity: Arc::clone(&self.activity),
        }
    }
}

fn too_long() -> io::Error {
    let reason = "the connection has had no stream for too long";
    io::Error::new(io::ErrorKind::TimedOut, reason)
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over(context) {
            // As if the client had closed it: what is to be said is said, and the connection is closed properly.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.unless_stuck(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.unless_stuck(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.unless_stuck(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.unless_stuck(context, shut)
    }
}

impl<S> Watched<S> {
    /// A peer that reads nothing must not keep the connection by that.
    fn unless_stuck<T>(
        &mut self,
        context: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if progress.is_pending() && self.is_over(context) {
            return Poll::Ready(Err(too_long()));
        }
        progress
    }
}
