//! One request, from the choice of an endpoint to the response's head.

use std::time::Instant;

use heddle_routing::ClusterName;
use http::{Request, Response, request};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1::SendRequest},
};

use crate::{
    Answer, Body, Broken, ConnectError, Origin, Progress, RequestError, Target, Upstream,
    attempt::{Attempt, Attempts},
    balance::Pending,
    body::empty_body,
    dial::Failure,
    error::http2_error,
    http::{
        exchange::Unanswered,
        form::{self, Protocol},
        http1::Http1,
        http2::{Http2, Http2Body},
    },
};

/// A connection of either protocol, for one request.
enum Connection {
    Http1(Http1),
    Upgrade(SendRequest<Body>),
    Http2(Http2),
}

/// A connection that died is replaced so often for one request. More than once only if request after request meets connections
/// that the endpoint closes at that very moment.
const MOST_REPLAYS: u32 = 3;

/// Why a request was not answered.
enum SendFailure {
    /// The request can be sent again: it was not sent, or sending it twice does no harm.
    Replay(Box<Request<Body>>, Progress, Broken),
    /// It may have had an effect, or cannot be repeated here.
    Final(Progress, Broken),
}

impl SendFailure {
    fn of(self, target: Target) -> RequestError {
        match self {
            Self::Replay(_, progress, source) | Self::Final(progress, source) => {
                RequestError::Broken {
                    target,
                    progress,
                    source,
                }
            }
        }
    }
}

impl Upstream {
    pub(crate) async fn send(
        &self,
        from: &Origin,
        cluster: &ClusterName,
        mut request: Box<Request<Body>>,
    ) -> Result<Answer, RequestError> {
        let mut attempts = self.attempts(cluster)?;
        let protocol = form::protocol(attempts.cluster.http, &request)?;
        form::shape(&mut request, protocol)?;
        let first = self.next(&attempts, from)?;
        // Almost always a connection waits; only when none does it takes time, a limit, and the memory to keep both in.
        let (mut attempt, mut connection, mut reused) =
            match self.waiting(from, &first.target, protocol) {
                Some(connection) => (first, connection, true),
                None => Box::pin(self.checkout(from, &mut attempts, Some(first), protocol)).await?,
            };
        let mut replays = 0;
        loop {
            let pending = attempt.load.begin();
            match connection.send(request, reused, pending).await {
                Ok(response) => {
                    let now = Instant::now();
                    attempt.load.observe(now, now - attempt.begun);
                    return Ok(Answer {
                        response,
                        target: attempt.target,
                    });
                }
                Err(SendFailure::Replay(again, ..)) if replays < MOST_REPLAYS => {
                    replays += 1;
                    request = again;
                }
                Err(failure) => {
                    attempt.load.fail(Instant::now());
                    return Err(failure.of(attempt.target));
                }
            }
            let fresh = Box::pin(self.fresh(from, &attempts, &attempt, protocol)).await;
            (connection, reused) = match fresh {
                Ok(fresh) => (fresh, false),
                Err(failure) => {
                    attempts.failed(attempt, failure)?;
                    let next = Box::pin(self.checkout(from, &mut attempts, None, protocol)).await?;
                    attempt = next.0;
                    (next.1, next.2)
                }
            };
        }
    }

    /// A connection to this endpoint that has served others before and is free.
    fn waiting(&self, from: &Origin, target: &Target, protocol: Protocol) -> Option<Connection> {
        let pools = &self.inner.http;
        match protocol {
            Protocol::Http1 => pools.waiting_http1(from, target).map(Connection::Http1),
            Protocol::Upgrade => None,
            Protocol::Http2 => pools.standing_http2(from, target).map(Connection::Http2),
        }
    }

    /// Gets a connection to the `first` endpoint, or to one that is chosen here; endpoints that fail are replaced by others. Tells
    /// whether the connection has served others before.
    async fn checkout(
        &self,
        from: &Origin,
        attempts: &mut Attempts,
        mut first: Option<Attempt>,
        protocol: Protocol,
    ) -> Result<(Attempt, Connection, bool), ConnectError> {
        let limit = self.inner.settings.connect_deadline;
        let connecting = async {
            loop {
                let attempt = match first.take() {
                    Some(first) => first,
                    None => self.next(attempts, from)?,
                };
                // Counts as load while connecting too.
                let _pending = attempt.load.begin();
                match self
                    .connection(from, attempts, &attempt, protocol, false)
                    .await
                {
                    Ok((connection, reused)) => return Ok((attempt, connection, reused)),
                    Err(failure) => attempts.failed(attempt, failure)?,
                }
            }
        };
        let done = tokio::time::timeout(limit, connecting).await;
        done.unwrap_or_else(|_| {
            Err(ConnectError::Deadline {
                limit,
                tried: attempts.tried(),
            })
        })
    }

    /// A new connection to the same endpoint, after a used one died.
    async fn fresh(
        &self,
        from: &Origin,
        attempts: &Attempts,
        attempt: &Attempt,
        protocol: Protocol,
    ) -> Result<Connection, Failure> {
        let (connection, _) = self
            .connection(from, attempts, attempt, protocol, true)
            .await?;
        Ok(connection)
    }

    async fn connection(
        &self,
        from: &Origin,
        attempts: &Attempts,
        attempt: &Attempt,
        protocol: Protocol,
        fresh: bool,
    ) -> Result<(Connection, bool), Failure> {
        let limit = attempts.cluster.connect_timeout;
        let (pools, dialer) = (&self.inner.http, &self.inner.dialer);
        match protocol {
            Protocol::Http1 => {
                let taken = pools
                    .http1(dialer, from, &attempt.target, limit, fresh)
                    .await?;
                Ok((Connection::Http1(taken.0), taken.1))
            }
            Protocol::Upgrade => {
                let sender = pools.upgrade(dialer, from, &attempt.target, limit).await?;
                Ok((Connection::Upgrade(sender), false))
            }
            // A closed connection is not taken again, so that here `fresh` needs nothing special.
            Protocol::Http2 => {
                let taken = pools.http2(dialer, from, &attempt.target, limit).await?;
                Ok((Connection::Http2(taken.0), taken.1))
            }
        }
    }
}

impl Connection {
    async fn send(
        self,
        request: Box<Request<Body>>,
        reused: bool,
        pending: Pending,
    ) -> Result<Response<Body>, SendFailure> {
        match self {
            Self::Http1(connection) => {
                let answered = connection.exchange(request, Some(pending)).await;
                answered.map_err(|failed| unanswered(*failed, reused))
            }
            // On the heap: they are larger, and the others need no room for them.
            Self::Upgrade(sender) => Box::pin(upgrade(sender, *request, pending)).await,
            Self::Http2(place) => Box::pin(http2(place, *request, reused, pending)).await,
        }
    }
}

async fn upgrade(
    mut sender: SendRequest<Body>,
    request: Request<Body>,
    pending: Pending,
) -> Result<Response<Body>, SendFailure> {
    let sent = sender.try_send_request(request).await;
    let response = sent.map_err(|mut failed| {
        let progress = match failed.take_message() {
            Some(_) => Progress::Unsent,
            None => Progress::Sent,
        };
        SendFailure::Final(progress, failed.into_error().into())
    })?;
    // As long as the response lasts, the endpoint has it to do.
    Ok(response.map(|body| {
        let held = move |frame| {
            let _ = &pending;
            frame
        };
        Body::streamed(body.map_frame(held).map_err(Into::into))
    }))
}

async fn http2(
    mut place: Http2,
    request: Request<Body>,
    reused: bool,
    pending: Pending,
) -> Result<Response<Body>, SendFailure> {
    let copy = Copy::of(&request, reused);
    let sent = place.sender.try_send_request(request).await;
    let response: Response<Incoming> = sent.map_err(|error| copy.failure(error))?;
    Ok(response.map(|body| Http2Body::boxed(body, place, pending)))
}

fn unanswered(failed: Unanswered, reused: bool) -> SendFailure {
    let progress = match failed.unsent {
        true => Progress::Unsent,
        false => Progress::Sent,
    };
    match failed.may_be_sent_again(reused) {
        true => SendFailure::Replay(failed.request, progress, failed.error.into()),
        false => SendFailure::Final(progress, failed.error.into()),
    }
}

/// The head of an HTTP/2 request that has no body, to send it again if its connection turns out to be dead.
struct Copy {
    head: Option<request::Parts>,
    /// Sending it twice has the effect of sending it once (RFC 9110 section 9.2.2), and the connection had served others
    /// before: then it was most likely closed while the request was on its way (RFC 9112 section 9.3.1).
    repeatable: bool,
}

impl Copy {
    fn of(request: &Request<Body>, reused: bool) -> Self {
        let bodiless = request.body().is_end_stream();
        Self {
            head: (bodiless && reused).then(|| head_of(request)),
            repeatable: reused && request.method().is_idempotent(),
        }
    }

    fn failure(self, mut error: TrySendError<Request<Body>>) -> SendFailure {
        if let Some(request) = error.take_message() {
            return SendFailure::Replay(
                request.into(),
                Progress::Unsent,
                error.into_error().into(),
            );
        }
        let error = error.into_error();
        let progress = match was_not_processed(&error) {
            true => Progress::Refused,
            false => Progress::Sent,
        };
        match self.head {
            Some(head) if progress == Progress::Refused || (self.repeatable && died(&error)) => {
                let again = Request::from_parts(head, empty_body());
                SendFailure::Replay(again.into(), progress, error.into())
            }
            _ => SendFailure::Final(progress, error.into()),
        }
    }
}

fn head_of(request: &Request<Body>) -> request::Parts {
    let mut copy = Request::new(());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.version_mut() = request.version();
    *copy.headers_mut() = request.headers().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy.into_parts().0
}

/// The endpoint says itself that it did nothing (RFC 9113 section 8.7).
fn was_not_processed(error: &hyper::Error) -> bool {
    http2_error(error).is_some_and(|error| {
        error.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (error.is_go_away()
                && error.is_remote()
                && error.reason() == Some(h2::Reason::NO_ERROR))
    })
}

/// The connection ended before the response, as opposed to a response that is malformed.
fn died(error: &hyper::Error) -> bool {
    error.is_closed() || error.is_canceled() || error.is_incomplete_message() || is_io(error)
}

fn is_io(error: &hyper::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| {
        source.is::<std::io::Error>()
            || source
                .downcast_ref::<h2::Error>()
                .is_some_and(h2::Error::is_io)
    })
}
