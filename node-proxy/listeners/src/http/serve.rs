//! One connection of many requests.

use std::{
    cell::Cell,
    convert::Infallible,
    future::{pending, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use heddle_filters::{Body, LocalExecutor, boxed};
use heddle_hbone::Seldom;
use heddle_http1::Ahead;
use heddle_telemetry::ResponseFlag;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, sleep_until, timeout},
};

use super::{
    guard::{Guard, Signals},
    usual::{Ended, Usual, Winding},
};
use crate::{
    Accepted, HttpSettings,
    accept::Drain,
    classify::is_http2,
    live::{LiveConnection, revoked},
    prefixed::Prefixed,
    record::Problem,
};

/// Bytes that an HTTP/2 client may have under way on one stream, and on all together.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// Which HTTP a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// Reads as far as it takes to know which HTTP a client speaks. `None`: it has closed the connection, said nothing for too
/// long, or nothing before the drain has lingered.
pub(crate) async fn version_of<I: AsyncRead + Unpin>(
    io: &mut I,
    settings: &HttpSettings,
    drain: &Drain,
) -> Option<(Version, BytesMut)> {
    let mut start = BytesMut::with_capacity(1024);
    loop {
        let limit = if start.is_empty() {
            settings.idle
        } else {
            settings.header_time
        };
        let read = tokio::select! {
            read = timeout(limit, io.read_buf(&mut start)) => read.ok()?.ok()?,
            () = drain.lingered(), if start.is_empty() => return None,
        };
        match is_http2(&start) {
            Some(true) => return Some((Version::Http2, start)),
            Some(false) => return Some((Version::Http1, start)),
            None if read == 0 => return None,
            None => {}
        }
    }
}

/// How a connection ended, if not by the client's or the proxy's will.
type HttpEnd = Option<Problem>;

/// Serves connections by these settings.
pub(crate) struct HttpServer<'a> {
    pub(crate) settings: &'a HttpSettings,
    pub(crate) drain: &'a Drain,
    pub(crate) live: Option<&'a LiveConnection>,
}

/// A connection that is served.
trait Serving: Future {
    /// Takes no new requests, and ends when the open ones have.
    fn wind_down(self: Pin<&mut Self>);
}

impl<I, S> Serving for hyper::server::conn::http1::UpgradeableConnection<I, S>
where
    Self: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A connection of usual requests.
struct Plain<'a, I> {
    serving: Pin<Box<dyn Future<Output = Ended<I>> + 'a>>,
    winding: Winding,
}

impl<I> Future for Plain<'_, I> {
    type Output = Ended<I>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<I>> {
        self.serving.as_mut().poll(cx)
    }
}

impl<I> Serving for Plain<'_, I> {
    fn wind_down(self: Pin<&mut Self>) {
        self.winding.begin();
    }
}

impl<I, S> Serving for hyper::server::conn::http2::Connection<I, S, LocalExecutor>
where
    Self: Future<Output = hyper::Result<()>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = Body>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    LocalExecutor: hyper::rt::bounds::Http2ServerConnExec<S::Future, Body>,
{
    fn wind_down(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl HttpServer<'_> {
    /// Serves a connection whose first bytes are known, until it ends.
    pub(crate) async fn serve<I, S, F>(
        &self,
        io: I,
        (version, start): (Version, BytesMut),
        service: S,
    ) -> HttpEnd
    where
        I: Accepted,
        S: Fn(Request<Body>) -> F + Clone + 'static,
        F: Future<Output = Response<Body>> + 'static,
    {
        match version {
            Version::Http1 => {
                let (usual, signals) = self.usual(io, start.freeze(), &service);
                match self.run(usual, &signals, self.drain.linger).await {
                    Ok(Ended::Closed) => None,
                    // Rare, so that a connection of usual requests needs no room for it.
                    Ok(Ended::Unusual(io, start)) => {
                        let io = Prefixed::new(start, io);
                        Box::pin(self.serve_http1(io, service)).await
                    }
                    Err(end) => end,
                }
            }
            Version::Http2 => {
                let io = Prefixed::new(start.freeze(), io);
                Box::pin(self.serve_http2(io, service)).await
            }
        }
    }

    fn usual<'a, I, S, F>(
        &'a self,
        io: I,
        start: Bytes,
        service: &'a S,
    ) -> (Plain<'a, I>, Arc<Signals>)
    where
        I: Accepted,
        S: Fn(Request<Body>) -> F,
        F: Future<Output = Response<Body>> + 'a,
    {
        let signals = Arc::new(Signals::new());
        let winding = Winding::default();
        let usual = Usual {
            io,
            ahead: Ahead::new(start),
            settings: self.settings,
            signals: Arc::clone(&signals),
            winding: winding.clone(),
        };
        let begun = &self.drain.begun;
        let serving = usual.serve(move |request| {
            // On the heap: a connection that waits needs no room for it, and a block that takes a future in has room for it twice.
            let answering = Box::pin(service(request));
            async move {
                let mut response = answering.await;
                if begun.is_cancelled() {
                    closes(&mut response);
                }
                response
            }
        });
        let serving = Box::pin(serving);
        (Plain { serving, winding }, signals)
    }

    async fn serve_http1<I, S, F>(&self, io: Prefixed<I>, service: S) -> HttpEnd
    where
        I: Accepted,
        S: Fn(Request<Body>) -> F + Clone + 'static,
        F: Future<Output = Response<Body>> + 'static,
    {
        let (io, signals) = Guard::http1(io, self.settings.header_bytes, self.settings.header_time);
        let answers = Arc::clone(&signals);
        let begun = self.drain.begun.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let answering = service(request.map(boxed));
            let (signals, begun) = (Arc::clone(&answers), begun.clone());
            // On the heap: hyper moves it, and keeps room for it while the connection has no request.
            Box::pin(async move {
                let mut response = answering.await;
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    signals.upgraded();
                } else if begun.is_cancelled() {
                    closes(&mut response);
                }
                Ok::<_, Infallible>(response)
            })
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            // The guard's own limit begins with the first byte of a head; hyper's would end idle connections, too.
            .header_read_timeout(None)
            .half_close(true)
            .auto_date_header(false)
            .max_headers(self.settings.header_count)
            .max_header_size(self.settings.header_bytes)
            .max_buf_size(self.settings.header_bytes.max(8192));
        let connection = builder
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let result = self.run(connection, &signals, self.drain.linger).await;
        ended(result, &signals)
    }

    async fn serve_http2<I, S, F>(&self, io: Prefixed<I>, service: S) -> HttpEnd
    where
        I: Accepted,
        S: Fn(Request<Body>) -> F + Clone + 'static,
        F: Future<Output = Response<Body>> + 'static,
    {
        let (io, signals) = Guard::http2(io);
        let service = service_fn(move |request: Request<Incoming>| {
            let answering = service(request.map(boxed));
            async move { Ok::<_, Infallible>(answering.await) }
        });
        let settings = self.settings;
        let mut builder = hyper::server::conn::http2::Builder::new(LocalExecutor);
        builder
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(settings.header_bytes).unwrap_or(u32::MAX))
            .max_concurrent_streams(settings.streams)
            .max_pending_accept_reset_streams(settings.pending_resets)
            .max_local_error_reset_streams(settings.error_resets)
            .keep_alive_interval(settings.ping_interval)
            .keep_alive_timeout(settings.ping_timeout);
        let connection = builder.serve_connection(TokioIo::new(io), service);
        // GOAWAY tells the client at once, and lets requests that are on their way in (RFC 9113 section 6.8).
        let result = self.run(connection, &signals, Duration::ZERO).await;
        ended(result, &signals)
    }

    /// `linger`: how long after the drain began the connection goes on as before.
    /// `Err`: it was ended from outside.
    async fn run<C: Serving>(
        &self,
        connection: C,
        signals: &Signals,
        linger: Duration,
    ) -> Result<C::Output, HttpEnd> {
        let winding = Cell::new(false);
        let mut ended = Seldom::new(self.ended(signals, linger, &winding));
        let mut connection = pin!(connection);
        poll_fn(|cx| {
            if let Poll::Ready(end) = Pin::new(&mut ended).poll(cx) {
                return Poll::Ready(Err(end));
            }
            if winding.take() {
                connection.as_mut().wind_down();
            }
            connection.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    /// Waits until the connection is to be ended, whatever it does. On the way it says once when the connection is to end by itself.
    async fn ended(&self, signals: &Signals, linger: Duration, winding: &Cell<bool>) -> HttpEnd {
        let wind = async {
            self.drain.begun.cancelled().await;
            tokio::time::sleep(linger).await;
            winding.set(true);
            pending().await
        };
        tokio::select! {
            failure = revoked(self.live) => Some(Problem::revoked(failure)),
            () = self.drain.over.cancelled() => Some(Problem::drained()),
            () = idle(signals, self.settings.idle) => None,
            never = wind => never,
        }
    }
}

/// Waits until nothing has moved for this time.
async fn idle(signals: &Signals, limit: Duration) {
    loop {
        let end = signals.last_moved() + limit;
        if end <= Instant::now() {
            return;
        }
        sleep_until(end).await;
    }
}

/// The client opens another connection for its next request (RFC 9112 section 9.6); closing an idle one could meet a request that is on its way.
fn closes(response: &mut Response<Body>) {
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
}

/// How a connection of hyper's ended.
fn ended(result: Result<hyper::Result<()>, HttpEnd>, signals: &Signals) -> HttpEnd {
    match result {
        Ok(Ok(())) => None,
        Ok(Err(error)) => problem_of(&error, signals),
        Err(end) => end,
    }
}

/// What of a connection's end is worth a line: a client that breaks the rules. One that goes away is not: its requests tell.
fn problem_of(error: &hyper::Error, signals: &Signals) -> HttpEnd {
    let reason = match signals.offence() {
        Some(offence) => offence.to_string(),
        None if signals.is_head_too_slow() => {
            return Some(Problem::new(
                ResponseFlag::IdleTimeout,
                "the head of a request took too long",
            ));
        }
        None if error.is_parse() || is_http2_violation(error) => error.to_string(),
        None => return None,
    };
    Some(Problem::new(ResponseFlag::ClientProtocolError, reason))
}

fn is_http2_violation(error: &hyper::Error) -> bool {
    use std::error::Error as _;
    error
        .source()
        .and_then(|source| source.downcast_ref::<h2::Error>())
        .is_some_and(|error| !error.is_io() && error.reason() != Some(h2::Reason::NO_ERROR))
}
