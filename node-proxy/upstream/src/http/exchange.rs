//! One request and its response in an HTTP/1.1 connection (RFC 9112).
//!
//! The request's body is sent while the response is awaited and read: a server may answer early, or answer in step with what it gets.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use heddle_http1::{
    Decoder, Encoder, Malformed, Out, Piece, ResponseHead, WrongLength, content_length, is_chunked,
    response_head, write_request,
};
use http::{
    HeaderMap, HeaderName, Method, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRAILER},
};
use http_body::{Body as _, Frame, SizeHint};
use hyper::ext::ReasonPhrase;
use tokio::io::AsyncWrite;

use super::{client::RESPONSE_HEADER_BYTES, http1::Http1};
use crate::{
    Body, BoxError, BoxedIo,
    balance::Pending,
    body::{empty_body, full_body},
};

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum Http1Error {
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server closed the connection before its response had ended.
    #[error("connection closed before the response had ended")]
    Closed,
    /// What came is no response.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The request's body broke off, or has another length than its head says.
    #[error("the request's body: {0}")]
    Body(BoxError),
}

impl From<WrongLength> for Http1Error {
    fn from(error: WrongLength) -> Self {
        Self::Body(error.into())
    }
}

/// A request that was not answered.
#[derive(Debug)]
pub struct Unanswered {
    /// The request; of its body, what was not sent.
    pub request: Box<Request<Body>>,
    /// Not one byte of it was sent.
    pub unsent: bool,
    /// Why.
    pub error: Http1Error,
    /// It had no body, and sending it twice has the effect of sending it once (RFC 9110 section 9.2.2).
    repeatable: bool,
}

impl Unanswered {
    /// Whether it may be sent once more. `reused`: its connection had served others before; then it was most likely closed while the request was
    /// on its way (RFC 9112 section 9.3.1).
    pub fn may_be_sent_again(&self, reused: bool) -> bool {
        let died = matches!(self.error, Http1Error::Io(_) | Http1Error::Closed);
        self.unsent || (reused && self.repeatable && died)
    }
}

impl Http1 {
    /// Sends a request that has the form of HTTP/1.1, and returns when the response's head is there.
    pub(crate) async fn exchange(
        mut self,
        mut request: Box<Request<Body>>,
        pending: Option<Pending>,
    ) -> Result<Response<Body>, Box<Unanswered>> {
        let body = std::mem::replace(request.body_mut(), empty_body());
        let repeatable = request.method().is_idempotent() && body.is_end_stream();
        let mut upload = Upload::new(&request, body);
        let answered = poll_fn(|cx| self.poll_head(&mut upload, cx)).await;
        let answered = answered.and_then(|head| {
            let decoder = decoder(request.method(), &head)?;
            Ok((head, decoder))
        });
        match answered {
            Ok((head, decoder)) => Ok(self.response(head, decoder, upload, pending)),
            Err(error) => {
                *request.body_mut() = upload.body;
                Err(Box::new(Unanswered {
                    request,
                    unsent: upload.untouched,
                    error,
                    repeatable,
                }))
            }
        }
    }

    fn poll_head(
        &mut self,
        upload: &mut Upload,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ResponseHead, Http1Error>> {
        if let Poll::Ready(Err(error)) = upload.poll(&mut self.io, cx) {
            // A server that has answered and closed reads no more, but its answer counts.
            upload.broken.get_or_insert(error);
        }
        if let Some(error) = upload
            .broken
            .take_if(|error| matches!(error, Http1Error::Body(_)))
        {
            return Poll::Ready(Err(error));
        }
        loop {
            if let Some((head, length)) = response_head(self.ahead.bytes())? {
                self.ahead.used(length);
                // Interim responses are between neighbours here; the final one comes after them (RFC 9110 section 15.2).
                if head.status.is_informational() && head.status != StatusCode::SWITCHING_PROTOCOLS
                {
                    continue;
                }
                return Poll::Ready(Ok(head));
            }
            if self.ahead.bytes().len() > RESPONSE_HEADER_BYTES {
                return Poll::Ready(Err(Malformed::TooLarge.into()));
            }
            match ready!(self.ahead.poll_more(&mut self.io, cx, 0)) {
                Ok(0) => {
                    let why = upload.broken.take().unwrap_or(Http1Error::Closed);
                    return Poll::Ready(Err(why));
                }
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }

    fn response(
        self,
        mut head: ResponseHead,
        decoder: Decoder,
        upload: Upload,
        pending: Option<Pending>,
    ) -> Response<Body> {
        let kept = is_kept(&head, decoder);
        if decoder == Decoder::CHUNKED {
            // The coding wins (RFC 9112 section 6.3).
            head.headers.remove(CONTENT_LENGTH);
        }
        let body = Http1Body::received(self, decoder, kept, upload, pending);
        let mut response = Response::new(body);
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = head.headers;
        if let Some(reason) = head
            .reason
            .and_then(|r| ReasonPhrase::try_from(&r[..]).ok())
        {
            response.extensions_mut().insert(reason);
        }
        response
    }
}

/// How the response's body ends (RFC 9112 section 6.3).
fn decoder(method: &Method, head: &ResponseHead) -> Result<Decoder, Malformed> {
    // Wrong where no body follows, too: what comes next in this connection is anybody's guess.
    let length = content_length(&head.headers)?;
    let none = method == Method::HEAD
        || head.status.is_informational()
        || matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    if none {
        return Ok(Decoder::EMPTY);
    }
    match is_chunked(&head.headers) {
        Some(_) if head.version != Version::HTTP_11 => Err(Malformed::Field),
        Some(true) => Ok(Decoder::CHUNKED),
        Some(false) => Ok(Decoder::Close),
        None => Ok(length.map_or(Decoder::Close, Decoder::Length)),
    }
}

/// Whether the server keeps the connection (RFC 9112 section 9.3).
fn is_kept(head: &ResponseHead, decoder: Decoder) -> bool {
    head.version == Version::HTTP_11
        && decoder != Decoder::Close
        && head.status != StatusCode::SWITCHING_PROTOCOLS
        && !listed(&head.headers, &CONNECTION).any(|name| name.eq_ignore_ascii_case(b"close"))
}

/// The elements of a header that is a list (RFC 9110 section 5.6.1).
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    let values = headers.get_all(name).into_iter();
    values
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// What is still to be sent of a request.
struct Upload {
    body: Body,
    encoder: Encoder,
    out: Out,
    /// The body has ended.
    ended: bool,
    /// Names of trailers that the head announced; others are not sent (RFC 9110 section 6.5.1).
    announced: Vec<HeaderName>,
    /// Not one byte was written.
    untouched: bool,
    broken: Option<Http1Error>,
}

impl Upload {
    fn new(head: &Request<Body>, body: Body) -> Self {
        let (method, uri, headers) = (head.method(), head.uri(), head.headers());
        let ended = body.is_end_stream();
        let (encoder, announced) = match ended {
            true => (Encoder::None, Vec::new()),
            false => (encoder(headers, &body), announced(headers)),
        };
        let mut out = Out::default();
        write_request(method, uri, headers, encoder, &mut out);
        Self {
            body,
            encoder,
            out,
            ended,
            announced,
            untouched: true,
            broken: None,
        }
    }

    fn is_done(&self) -> bool {
        self.ended && self.out.is_empty()
    }

    /// Sends what there is, until all was sent.
    fn poll(&mut self, io: &mut BoxedIo, cx: &mut Context<'_>) -> Poll<Result<(), Http1Error>> {
        if self.broken.is_some() {
            return Poll::Ready(Ok(()));
        }
        while !self.is_done() {
            if !self.out.is_empty() {
                let written = self.out.poll_write(io, cx);
                self.untouched &= matches!(written, Poll::Ready(Err(_)));
                ready!(written)?;
                ready!(Pin::new(&mut *io).poll_flush(cx))?;
                continue;
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.frame(frame)?,
                Some(Err(error)) => return Poll::Ready(Err(Http1Error::Body(error))),
                None => self.end(None)?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn frame(&mut self, frame: Frame<Bytes>) -> Result<(), WrongLength> {
        match frame.into_data() {
            Ok(data) => self.encoder.data(data, &mut self.out),
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => self.end(Some(trailers)),
                Err(_) => Ok(()),
            },
        }
    }

    fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), WrongLength> {
        self.ended = true;
        let trailers = trailers.map(|all| {
            let kept = self.announced.iter().flat_map(|name| {
                let values = all.get_all(name).iter();
                values.map(|value| (name.clone(), value.clone()))
            });
            kept.collect::<HeaderMap>()
        });
        self.encoder.end(trailers.as_ref(), &mut self.out)
    }
}

/// How the body of a request is framed that has one.
fn encoder(headers: &HeaderMap, body: &Body) -> Encoder {
    match (content_length(headers), body.size_hint().exact()) {
        (Ok(Some(length)), _) => Encoder::Length(length),
        (_, Some(length)) if is_chunked(headers).is_none() => Encoder::Length(length),
        _ => Encoder::Chunked,
    }
}

fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    listed(headers, &TRAILER)
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .collect()
}

/// A response's body that gives its connection back when it has been read to the end.
struct Http1Body {
    /// `None` once the body has ended, well or not.
    connection: Option<Http1>,
    decoder: Decoder,
    kept: bool,
    /// The rest of the request.
    upload: Option<Box<Upload>>,
    /// Told at the poll behind the one that meets it: a server that drops what it has not written when a body fails has written by then what came
    /// before.
    failed: Option<Http1Error>,
    /// Of the load of its endpoint.
    _pending: Option<Pending>,
}

impl Http1Body {
    /// Of a body that came with its head nothing is left to do: its connection is free at once.
    fn received(
        mut connection: Http1,
        mut decoder: Decoder,
        kept: bool,
        upload: Upload,
        pending: Option<Pending>,
    ) -> Body {
        let whole = decoder.whole(&mut connection.ahead);
        let rest = upload.broken.is_none() && !upload.is_done();
        let mut body = Self {
            connection: Some(connection),
            decoder,
            kept: kept && upload.broken.is_none(),
            upload: rest.then(|| Box::new(upload)),
            failed: None,
            _pending: pending,
        };
        if let Some(whole) = whole {
            body.end();
            return full_body(whole);
        }
        Body::streamed(body)
    }

    /// The response has been read to its end. A server that answered before it has the whole request gets the rest.
    fn end(&mut self) {
        let Some(mut connection) = self.connection.take().filter(|_| self.kept) else {
            return;
        };
        match self.upload.take() {
            None => connection.give_back(),
            Some(mut upload) => {
                tokio::task::spawn_local(async move {
                    let sent = poll_fn(|cx| upload.poll(&mut connection.io, cx)).await;
                    if sent.is_ok() {
                        connection.give_back();
                    }
                });
            }
        }
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) {
        let (Some(connection), Some(upload)) = (&mut self.connection, &mut self.upload) else {
            return;
        };
        match upload.poll(&mut connection.io, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.upload = None,
            // The response goes on: a server need not read what it does not want.
            Poll::Ready(Err(_)) => {
                self.upload = None;
                self.kept = false;
            }
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Http1Error>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Ok(Piece::End));
        };
        loop {
            match self.decoder.decode(&mut connection.ahead)? {
                Piece::Nothing => {}
                piece => return Poll::Ready(Ok(piece)),
            }
            let expected = self.decoder.expected();
            let read = connection.ahead.poll_more(&mut connection.io, cx, expected);
            match (ready!(read)?, self.decoder) {
                (0, Decoder::Close) => return Poll::Ready(Ok(Piece::End)),
                (0, _) => return Poll::Ready(Err(Http1Error::Closed)),
                _ => {}
            }
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
        if let Some(failed) = self.failed.take() {
            self.connection = None;
            return Poll::Ready(Some(Err(failed.into())));
        }
        self.poll_upload(cx);
        let piece = ready!(self.poll_piece(cx));
        let frame = match piece {
            Ok(Piece::Data(data)) => Some(Ok(Frame::data(data))),
            Ok(Piece::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(Piece::End | Piece::Nothing) => None,
            Err(error) => {
                self.failed = Some(error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        };
        if frame.is_none() || self.decoder.is_done() {
            self.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.connection.is_none() || self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.connection, self.decoder) {
            (None, _) => SizeHint::with_exact(0),
            (Some(_), Decoder::Length(left)) => SizeHint::with_exact(left),
            (Some(_), Decoder::Chunked(_) | Decoder::Close) => SizeHint::default(),
        }
    }
}
