//! The end that opens streams.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    HboneError, HboneStream, OpenError, Seldom, Settings, keepalive::keepalive,
    stream::ActiveStream, turns::after_others,
};

/// A connection that streams can be opened in. Clones share it; it closes when all clones and streams are gone.
#[derive(Clone, Debug)]
pub struct Tunnel {
    requests: SendRequest<Bytes>,
    active: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    most: usize,
}

/// Makes a tunnel over an authenticated connection. The returned future moves the bytes: it must be spawned, and returns
/// when the tunnel has ended.
pub async fn connect<T>(
    io: T,
    settings: Settings,
) -> Result<(Tunnel, impl Future<Output = Result<(), HboneError>>), HboneError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(settings.stream_window)
        .initial_connection_window_size(settings.connection_window)
        .max_frame_size(settings.max_frame_size)
        .max_send_buffer_size(settings.send_buffer)
        .max_header_list_size(settings.header_list)
        .max_local_error_reset_streams(Some(settings.error_resets))
        .enable_push(false);
    let (requests, connection) =
        tokio::time::timeout(settings.handshake_timeout, builder.handshake(io))
            .await
            .map_err(|_| HboneError::HandshakeTimeout)??;
    let tunnel = Tunnel {
        requests,
        active: Arc::default(),
        ended: Arc::default(),
        most: settings.streams_per_tunnel,
    };
    let ended = Ended(tunnel.ended.clone());
    Ok((tunnel, after_others(drive(connection, ended, settings))))
}

/// Says that the tunnel has ended, however its future ends.
struct Ended(Arc<AtomicBool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn drive<T>(
    mut connection: Connection<T>,
    _ended: Ended,
    settings: Settings,
) -> Result<(), HboneError>
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let keepalive = Seldom::new(keepalive(connection.ping_pong(), settings));
    tokio::select! {
        end = connection => Ok(end?),
        error = keepalive => Err(error),
    }
}

impl Tunnel {
    /// Whether streams can still be opened: not closed, not going away.
    pub fn is_usable(&self) -> bool {
        // After GOAWAY, `h2` refuses further requests; asking whether it is ready tells.
        let mut context = Context::from_waker(Waker::noop());
        let refused = matches!(
            self.requests.clone().poll_ready(&mut context),
            Poll::Ready(Err(_))
        );
        !refused && !self.ended.load(Ordering::Relaxed)
    }

    /// Streams that are open or being opened.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// How many more streams can be opened at once: our own limit and the peer's.
    pub fn capacity(&self) -> usize {
        let most = self.most.min(self.requests.current_max_send_streams());
        most.saturating_sub(self.active())
    }

    /// Asks the peer to connect to `authority`; returns when it has. `headers` are added to the request (`forwarded`,
    /// `baggage`, `traceparent`).
    ///
    /// Has no limit of time of its own: dropping the future resets the stream.
    pub async fn open(
        &self,
        authority: SocketAddr,
        headers: HeaderMap,
    ) -> Result<HboneStream, OpenError> {
        let active = ActiveStream::new(self.active.clone());
        let request = connect_request(authority, headers)?;
        let mut requests = self
            .requests
            .clone()
            .ready()
            .await
            .map_err(OpenError::Closed)?;
        let (response, send) = requests
            .send_request(request, false)
            .map_err(OpenError::Closed)?;
        drop(requests);
        let response = response.await.map_err(OpenError::Closed)?;
        if response.status() != StatusCode::OK {
            return Err(OpenError::Refused(response.status()));
        }
        Ok(HboneStream::new(response.into_body(), send, Some(active)))
    }
}

/// RFC 9113 section 8.5: only `:method` and `:authority`.
fn connect_request(authority: SocketAddr, headers: HeaderMap) -> Result<Request<()>, OpenError> {
    let uri = Uri::builder().authority(authority.to_string()).build()?;
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers;
    Ok(request)
}
