//! HTTP/1.1 requests of the usual kind, served in the one task of their connection.
//!
//! A usual request is one that hyper and everybody else would read alike, and that is there whole after one read: no upgrade, no interim response
//! asked for, no transfer coding, no body that is still to come. The first one that is not usual, or not a request at all, leaves here as it came, and
//! its connection with it, to be served as any other ([`Ended::Unusual`]). So nothing is refused here, and no limit needs to be kept: what would
//! come near one is not usual.

use std::{
    cell::Cell,
    error::Error,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use heddle_filters::Body;
use heddle_http1::{
    Ahead, Encoder, Out, RequestHead, content_length, request_head, write_response,
};
use http::{
    Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE},
    response,
};
use http_body::{Body as _, Frame};
use hyper::ext::ReasonPhrase;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{framing::Framing, guard::Signals};
use crate::{Accepted, HttpSettings};

/// What a client may send ahead of the answer that it waits for; the rest waits in the kernel.
const MOST_AHEAD: usize = 8 * 1024;

/// Small pieces of an answer are written together, up to so many bytes.
const GATHERED: usize = 8 * 1024;

/// Why no more usual requests are served.
pub(super) enum Ended<I> {
    /// The connection is over.
    Closed,
    /// Something else came, which begins with these bytes.
    Unusual(I, Bytes),
}

/// Tells a connection to end with the request that it serves, or at once if there is none. It must be polled afterwards.
#[derive(Clone, Debug, Default)]
pub(super) struct Winding(Rc<Cell<bool>>);

impl Winding {
    pub(super) fn begin(&self) {
        self.0.set(true);
    }

    fn has_begun(&self) -> bool {
        self.0.get()
    }
}

/// One connection.
pub(super) struct Usual<'a, I> {
    pub(super) io: I,
    pub(super) ahead: Ahead,
    pub(super) settings: &'a HttpSettings,
    pub(super) signals: Arc<Signals>,
    pub(super) winding: Winding,
}

/// What comes next.
enum Next {
    Request(Request<Body>),
    Unusual,
    Closed,
}

impl<I: Accepted> Usual<'_, I> {
    /// Serves requests as long as they are usual ones.
    pub(super) async fn serve<S, F>(mut self, service: S) -> Ended<I>
    where
        S: Fn(Request<Body>) -> F,
        F: Future<Output = Response<Body>>,
    {
        loop {
            match poll_fn(|cx| self.poll_next(cx)).await {
                Next::Request(request) => {
                    let answering = pin!(service(request));
                    let Some((response, half_closed)) = self.answer(answering).await else {
                        return Ended::Closed;
                    };
                    let mut answer = Answering::new(response);
                    let sent = poll_fn(|cx| answer.poll(&mut self.io, cx, &self.signals)).await;
                    let over = half_closed && self.ahead.is_empty();
                    if sent.is_err() || !answer.kept || over {
                        break;
                    }
                }
                Next::Unusual => return Ended::Unusual(self.io, self.ahead.into_bytes()),
                Next::Closed => break,
            }
        }
        // Whether the client still hears it is its own business.
        let _ = self.io.shutdown().await;
        Ended::Closed
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            if !self.ahead.is_empty() {
                return Poll::Ready(match usual(&mut self.ahead, self.settings) {
                    Some(request) => Next::Request(request),
                    None => Next::Unusual,
                });
            }
            if self.winding.has_begun() {
                return Poll::Ready(Next::Closed);
            }
            match ready!(self.ahead.poll_more(&mut self.io, cx, 0)) {
                Ok(0) | Err(_) => return Poll::Ready(Next::Closed),
                Ok(_) => self.signals.moved(),
            }
        }
    }

    /// Waits for the answer, and tells whether the client has closed its side meanwhile. `None`: the client is gone.
    async fn answer<F>(&mut self, mut answering: F) -> Option<(Response<Body>, bool)>
    where
        F: Future<Output = Response<Body>> + Unpin,
    {
        let mut half_closed = false;
        poll_fn(|cx| {
            if let Poll::Ready(response) = Pin::new(&mut answering).poll(cx) {
                return Poll::Ready(Some((response, half_closed)));
            }
            match self.poll_client(cx, &mut half_closed) {
                Poll::Ready(_gone) => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Ready when the client is gone. One that has only closed its own side still waits for its answer.
    fn poll_client(&mut self, cx: &mut Context<'_>, half_closed: &mut bool) -> Poll<io::Error> {
        while !*half_closed && self.ahead.bytes().len() < MOST_AHEAD {
            match ready!(self.ahead.poll_more(&mut self.io, cx, 0)) {
                Ok(0) => *half_closed = true,
                Ok(_) => self.signals.moved(),
                Err(gone) => return Poll::Ready(gone),
            }
        }
        Poll::Pending
    }
}

/// How an answer's body is framed (RFC 9112 section 6.3; the request was not HEAD).
fn encoder(parts: &response::Parts, body: &Body) -> Encoder {
    if parts.status.is_informational()
        || matches!(
            parts.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        )
    {
        return Encoder::None;
    }
    match content_length(&parts.headers) {
        Ok(Some(length)) => Encoder::Length(length),
        _ => match body.size_hint().exact() {
            Some(length) => Encoder::Length(length),
            None => Encoder::Chunked,
        },
    }
}

/// An answer on its way.
struct Answering {
    /// The connection is kept afterwards.
    kept: bool,
    body: Body,
    encoder: Encoder,
    out: Out,
    /// Nothing more is put into `out`.
    ended: bool,
    /// Why it ended before its time. What came before is written all the same: the client shall see an answer that breaks off.
    broken: Option<io::Error>,
}

impl Answering {
    fn new(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let encoder = encoder(&parts, &body);
        let mut answer = Self {
            kept: !parts.headers.contains_key(CONNECTION),
            ended: encoder == Encoder::None || body.is_end_stream(),
            body,
            encoder,
            out: Out::default(),
            broken: None,
        };
        let reason = parts.extensions.get::<ReasonPhrase>();
        let reason = reason.map(ReasonPhrase::as_bytes);
        write_response(
            parts.status,
            reason,
            &parts.headers,
            encoder,
            &mut answer.out,
        );
        if answer.ended {
            // The head was told so: an empty chunk, or nothing.
            answer.end();
        }
        answer
    }

    fn poll<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
        signals: &Signals,
    ) -> Poll<io::Result<()>> {
        loop {
            let gathered = self.poll_gather(cx);
            if !self.out.is_empty() {
                ready!(self.out.poll_write(io, cx))?;
                signals.moved();
                if gathered.is_ready() {
                    continue;
                }
            }
            ready!(Pin::new(&mut *io).poll_flush(cx))?;
            if self.ended {
                return Poll::Ready(self.broken.take().map_or(Ok(()), Err));
            }
            if gathered.is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Takes what there is of the body, as far as it can be written together. Pending: there will be more.
    fn poll_gather(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.ended && self.out.has_room(GATHERED) {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.frame(frame),
                Some(Err(error)) => self.breaks(error),
                None => self.end(),
            }
        }
        Poll::Ready(())
    }

    fn frame(&mut self, frame: Frame<Bytes>) {
        // Trailers go only to clients that ask for them, which are not usual.
        if let Ok(data) = frame.into_data()
            && let Err(error) = self.encoder.data(data, &mut self.out)
        {
            self.breaks(error);
        }
        if self.encoder.is_full() && self.body.is_end_stream() {
            self.ended = true;
        }
    }

    fn end(&mut self) {
        self.ended = true;
        if let Err(error) = self.encoder.end(None, &mut self.out) {
            self.breaks(error);
        }
    }

    /// Without its end, the client sees that something is missing.
    fn breaks(&mut self, error: impl Into<Box<dyn Error + Send + Sync>>) {
        self.ended = true;
        self.broken = Some(io::Error::other(error));
    }
}

/// Takes the request from what was read, if it is a usual one; else nothing is taken.
fn usual(ahead: &mut Ahead, settings: &HttpSettings) -> Option<Request<Body>> {
    let (head, head_length) = request_head(ahead.bytes()).ok()??;
    let body_length = usize::try_from(body_length(&head, settings)?).ok()?;
    let length = head_length.checked_add(body_length)?;
    let message = ahead.bytes().get(..length)?;
    if head_length > settings.header_bytes {
        return None;
    }
    Framing::new(settings.header_bytes).follow(message).ok()?;
    ahead.used(head_length);
    let body = match body_length {
        0 => heddle_filters::empty(),
        length => heddle_filters::text(ahead.take(length)),
    };
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = head.uri;
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers;
    Some(request)
}

/// The length of the body of a usual request; `None`: it is not one.
fn body_length(head: &RequestHead, settings: &HttpSettings) -> Option<u64> {
    const METHODS: [Method; 6] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ];
    let usual = head.version == Version::HTTP_11
        && METHODS.contains(&head.method)
        && head.uri.path().starts_with('/')
        && head.uri.authority().is_none()
        && head.headers.len() <= settings.header_count
        && head.headers.iter().all(|(name, value)| {
            ![EXPECT, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
                && (*name != CONNECTION || value.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
        });
    let length = content_length(&head.headers).ok()?;
    usual.then(|| length.unwrap_or(0))
}
