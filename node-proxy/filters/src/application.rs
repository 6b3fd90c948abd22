//! The connections to a pod's own application, on behalf of one client connection.

use std::{cell::RefCell, io};

use heddle_telemetry::ResponseFlag;
use heddle_upstream::{http1_client, http2_client};
use http::{Request, Response, Uri, Version};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Body, Failure, boxed};

/// Opens connections to an application.
pub trait Application {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Connects to the application with the client's own address as source, so that it sees who calls.
    fn connect(&self) -> impl Future<Output = io::Result<Self::Io>>;
}

/// The connections to an application that belong to one client connection: never shared with another client, because the
/// application sees the client's address on them. One for HTTP/1, one for HTTP/2, made when needed.
pub struct AppConnection<A> {
    application: A,
    http1: RefCell<Option<http1::SendRequest<Body>>>,
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
            http1: RefCell::default(),
            http2: RefCell::default(),
        }
    }

    /// Sends a request in the version that it has. A kept connection that turns out to be closed is replaced, as long as
    /// nothing of the request was sent.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        if request.version() >= Version::HTTP_2 {
            self.send_http2(request).await
        } else {
            self.send_http1(request).await
        }
    }

    async fn send_http1(&self, mut request: Request<Body>) -> Result<Response<Body>, Failure> {
        origin_form(&mut request);
        let kept = self.http1.borrow_mut().take();
        if let Some(mut sender) = kept
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.http1.replace(Some(sender));
                    return Ok(response.map(boxed));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(broken(&error.into_error())),
                },
            }
        }
        let mut sender = self.new_http1().await?;
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| broken(&error))?;
        self.http1.replace(Some(sender));
        Ok(response.map(boxed))
    }

    async fn new_http1(&self) -> Result<http1::SendRequest<Body>, Failure> {
        let io = self.connect().await?;
        let (sender, connection) = http1_client()
            .handshake(TokioIo::new(io))
            .await
            .map_err(|error| broken(&error))?;
        tokio::task::spawn_local(async move {
            // What breaks the connection is told to whoever waits for a response.
            let _ = connection.with_upgrades().await;
        });
        Ok(sender)
    }

    async fn send_http2(&self, mut request: Request<Body>) -> Result<Response<Body>, Failure> {
        // The URI says it already; RFC 9113 section 8.3.1.
        request.headers_mut().remove(http::header::HOST);
        let kept = self.http2.borrow().clone();
        let mut sender = match kept {
            Some(sender) if sender.is_ready() => sender,
            _ => self.new_http2().await?,
        };
        match sender.send_request(request).await {
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

fn broken(error: &hyper::Error) -> Failure {
    let flag = if error.is_parse() {
        ResponseFlag::UpstreamProtocolError
    } else {
        ResponseFlag::ConnectionTermination
    };
    Failure::new(flag, format!("the application broke off: {error}"))
}
