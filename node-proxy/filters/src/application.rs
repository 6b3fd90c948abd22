//! The connections to a pod's own application, on behalf of one client connection.

use std::{cell::RefCell, error::Error, io};

use heddle_telemetry::ResponseFlag;
use heddle_upstream::{
    Http1Connection, Http1Error, KeptHttp1, Unanswered, http2_client, upgradable,
};
use http::{Request, Response, Uri, Version, header::UPGRADE};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;

use crate::{Body, Failure, boxed};

/// Opens connections to an application.
pub trait Application {
    /// A connection.
    type Io: heddle_upstream::Io + 'static;

    /// Connects to the application with the client's own address as source, so that it sees who calls.
    fn connect(&self) -> impl Future<Output = io::Result<Self::Io>>;
}

/// The connections to an application that belong to one client connection: never shared with another client, because the
/// application sees the client's address on them. One for HTTP/1, one for HTTP/2, made when needed.
pub struct AppConnection<A> {
    application: A,
    http1: KeptHttp1,
    http2: RefCell<Option<http2::SendRequest<Body>>>,
}

/// Spawns onto this worker's thread; for hyper's HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

impl<A: Application> AppConnection<A> {
    /// No connection yet.
    pub fn new(application: A) -> Self {
        Self {
            application,
            http1: KeptHttp1::default(),
            http2: RefCell::default(),
        }
    }

    /// Sends a request in the version that it has. A kept connection that turns out to be closed is replaced, as long as
    /// nothing of the request was sent, or sending it twice does no harm.
    pub(crate) async fn send(
        &self,
        mut request: Box<Request<Body>>,
    ) -> Result<Response<Body>, Failure> {
        if request.version() >= Version::HTTP_2 {
            return Box::pin(self.send_http2(request)).await;
        }
        origin_form(&mut request);
        if request.headers().contains_key(UPGRADE) {
            return Box::pin(self.send_upgrade(request)).await;
        }
        self.send_http1(request).await
    }

    async fn send_http1(&self, request: Box<Request<Body>>) -> Result<Response<Body>, Failure> {
        let Some(kept) = self.http1.waiting() else {
            return Box::pin(self.send_on_new(request)).await;
        };
        match kept.send(request).await {
            Ok(response) => Ok(response),
            Err(failed) if failed.may_be_sent_again(true) => {
                Box::pin(self.send_on_new(failed.request)).await
            }
            Err(failed) => Err(unanswered(&failed)),
        }
    }

    async fn send_on_new(&self, request: Box<Request<Body>>) -> Result<Response<Body>, Failure> {
        let connection: Http1Connection = self.http1.made(Box::new(self.connect().await?));
        let answered = connection.send(request).await;
        answered.map_err(|failed| unanswered(&failed))
    }

    /// A request for another protocol gets a connection of its own, which is the protocol's afterwards (RFC 9110 section 7.8).
    async fn send_upgrade(&self, request: Box<Request<Body>>) -> Result<Response<Body>, Failure> {
        let sender = upgradable(Box::new(self.connect().await?)).await;
        let mut sender = sender.map_err(|error| broken(&error))?;
        match sender.send_request(*request).await {
            Ok(response) => Ok(response.map(boxed)),
            Err(error) => Err(broken(&error)),
        }
    }

    async fn send_http2(&self, mut request: Box<Request<Body>>) -> Result<Response<Body>, Failure> {
        // The URI says it already; RFC 9113 section 8.3.1.
        request.headers_mut().remove(http::header::HOST);
        let kept = self.http2.borrow().clone();
        let mut sender = match kept {
            Some(sender) if sender.is_ready() => sender,
            _ => self.new_http2().await?,
        };
        match sender.send_request(*request).await {
            Ok(response) => Ok(response.map(boxed)),
            Err(error) => Err(broken(&error)),
        }
    }

    async fn new_http2(&self) -> Result<http2::SendRequest<Body>, Failure> {
        let io = self.connect().await?;
        let (sender, connection) = http2_client(LocalExecutor)
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| broken(&error))?;
        tokio::task::spawn_local(async move {
            // What breaks the connection is told to whoever waits for a response.
            let _ = connection.await;
        });
        // Of two that were made at once the later one is kept; the other ends with its requests.
        self.http2.replace(Some(sender.clone()));
        Ok(sender)
    }

    async fn connect(&self) -> Result<A::Io, Failure> {
        self.application.connect().await.map_err(|error| {
            Failure::new(
                ResponseFlag::ConnectFailure,
                format!("the application cannot be reached: {error}"),
            )
        })
    }
}

/// HTTP/1 requests to a server carry the path only (RFC 9112 section 3.2.1); the Host header says the rest.
fn origin_form(request: &mut Request<Body>) {
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| Uri::from_static("/"), Uri::from);
}

fn unanswered(failed: &Unanswered) -> Failure {
    let malformed = matches!(failed.error, Http1Error::Malformed(_));
    broke_off(malformed, &failed.error)
}

fn broken(error: &hyper::Error) -> Failure {
    broke_off(error.is_parse(), error)
}

fn broke_off(malformed: bool, error: &dyn Error) -> Failure {
    let flag = match malformed {
        true => ResponseFlag::UpstreamProtocolError,
        false => ResponseFlag::ConnectionTermination,
    };
    Failure::new(flag, format!("the application broke off: {error}"))
}
