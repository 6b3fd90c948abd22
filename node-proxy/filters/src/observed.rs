//! The body of a response, watched on its way to the client.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use heddle_telemetry::ResponseFlag;
use http_body::{Body as _, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{Body, BoxError, exchange::Exchange};

/// A response's body was cut off because its route's time was over.
#[derive(Debug, thiserror::Error)]
#[error("the response took longer than its route allows")]
pub(crate) struct TooSlow;

/// Counts a response's bytes, holds it to the route's time limit, and ends the [`Exchange`] with it.
pub(crate) struct Observed {
    inner: Body,
    exchange: Box<Exchange>,
    deadline: Option<Pin<Box<Sleep>>>,
    /// No body is sent whatever it holds (an answer to HEAD), so that nobody reads it to its end.
    unread: bool,
}

impl Observed {
    pub(crate) fn new(inner: Body, exchange: Box<Exchange>, deadline: Option<Instant>) -> Self {
        let unread = exchange.entry.method == Some(http::Method::HEAD);
        Self {
            inner,
            exchange,
            deadline: deadline.map(|at| Box::pin(sleep_until(at))),
            unread,
        }
    }

    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        self.deadline
            .as_mut()
            .is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready())
    }
}

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if polled.is_pending() && self.is_too_slow(cx) {
            self.exchange
                .fail(ResponseFlag::RequestTimeout, TooSlow.to_string());
            self.exchange.finish();
            return Poll::Ready(Some(Err(TooSlow.into())));
        }
        let frame = ready!(polled);
        match &frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.exchange.entry.sent += bytes as u64;
            }
            Some(Err(error)) => {
                self.exchange.fail(
                    ResponseFlag::ConnectionTermination,
                    format!("the response broke off: {error}"),
                );
                self.exchange.finish();
            }
            None => self.exchange.finish(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        // A reader that knows the length does not ask for the end.
        if self.unread || self.inner.is_end_stream() {
            self.exchange.finish();
        }
    }
}
