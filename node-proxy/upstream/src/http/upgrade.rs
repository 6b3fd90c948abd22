//! A request that changes the protocol of its connection (RFC 9110 section 7.8). The connection is made for it and serves no other.

use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;

use super::client::http1_client;
use crate::{Body, DialError, dial::Dialed};

/// Speaks HTTP/1.1 over a new connection, whose bytes belong after 101 to whoever asks for them.
pub(crate) async fn handshake(
    Dialed { io, way: _ }: Dialed,
) -> Result<SendRequest<Body>, DialError> {
    let (sender, connection) = http1_client()
        .handshake(TokioIo::new(io))
        .await
        .map_err(DialError::Http)?;
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "HTTP/1.1 connection ended");
        }
    });
    Ok(sender)
}
