//! The end that takes streams.

use std::{future::Future, net::SocketAddr};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, Method, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{HboneError, HboneStream, Seldom, Settings, keepalive::keepalive, turns::after_others};

/// A client wants to be connected. Dropping it without an answer resets the stream.
#[derive(Debug)]
pub struct Request {
    /// Where to. Claimed by the client: whether it may is the caller's to decide.
    pub authority: SocketAddr,
    /// The request's headers. Claimed by the client: never trust them for identity.
    pub headers: HeaderMap,
    body: RecvStream,
    respond: SendResponse<Bytes>,
}

impl Request {
    /// Answers 200: the connection to the destination stands.
    pub fn accept(mut self) -> Result<HboneStream, HboneError> {
        let send = self.respond.send_response(Response::new(()), false)?;
        Ok(HboneStream::new(self.body, send, None))
    }

    /// Answers with a status: 401 for what policy refuses, 503 if the destination does not answer, 400 for a destination that
    /// is not ours.
    pub fn refuse(mut self, status: StatusCode) {
        refuse(&mut self.respond, status);
    }

    /// Returns when the client has given up (reset the stream, or closed the connection).
    pub async fn abandoned(&mut self) {
        // Either way there is nobody left to answer.
        let _ = std::future::poll_fn(|cx| self.respond.poll_reset(cx)).await;
    }
}

fn refuse(respond: &mut SendResponse<Bytes>, status: StatusCode) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    // An error here means that the client has gone; nobody is left to tell.
    let _ = respond.send_response(response, true);
}

/// Serves one authenticated connection until it ends: hands each CONNECT to `on_request`, which must not block (it spawns).
/// When `shutdown` completes, the client is told to open no more streams (GOAWAY), and this returns when the open ones have
/// ended.
///
/// Anything but CONNECT is answered 405, an authority that is not `address:port` 400. Whoever breaks the limits of
/// `settings` (headers, resets, frames) loses the connection, by `h2`.
pub fn serve<T>(
    io: T,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
    on_request: impl FnMut(Request),
) -> impl Future<Output = Result<(), HboneError>>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    after_others(take_streams(io, settings, shutdown, on_request))
}

async fn take_streams<T>(
    io: T,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
    mut on_request: impl FnMut(Request),
) -> Result<(), HboneError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection =
        tokio::time::timeout(settings.handshake_timeout, builder(&settings).handshake(io))
            .await
            .map_err(|_| HboneError::HandshakeTimeout)??;
    let mut keepalive = Seldom::new(keepalive(connection.ping_pong(), settings));
    let mut shutdown = Seldom::new(shutdown);
    let mut draining = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                None => return Ok(()),
                Some(accepted) => {
                    let (request, respond) = accepted?;
                    if let Some(request) = admit(request, respond) {
                        on_request(request);
                    }
                }
            },
            () = &mut shutdown, if !draining => {
                draining = true;
                connection.graceful_shutdown();
            }
            error = &mut keepalive => return Err(error),
        }
    }
}

fn builder(settings: &Settings) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_frame_size(settings.max_frame_size)
        .max_send_buffer_size(settings.send_buffer)
        .max_header_list_size(settings.header_list)
        .max_concurrent_streams(settings.max_concurrent_streams)
        .max_pending_accept_reset_streams(settings.pending_resets)
        .max_local_error_reset_streams(Some(settings.error_resets));
    builder
}

fn admit(request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Option<Request> {
    let (head, body) = request.into_parts();
    if head.method != Method::CONNECT {
        refuse(&mut respond, StatusCode::METHOD_NOT_ALLOWED);
        return None;
    }
    let authority = head.uri.authority().and_then(|a| a.as_str().parse().ok());
    let Some(authority) = authority else {
        refuse(&mut respond, StatusCode::BAD_REQUEST);
        return None;
    };
    Some(Request {
        authority,
        headers: head.headers,
        body,
        respond,
    })
}
