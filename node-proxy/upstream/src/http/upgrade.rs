//! A request that changes the protocol of its connection (RFC 9110 section 7.8). The connection is made for it and serves no other.

use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;

use super::client::http1_client;
use crate::{Body, BoxedIo};

/// Speaks HTTP/1.1 over a new connection, whose bytes belong after 101 to whoever asks for them ([`hyper::upgrade::on`]).
///
/// # Errors
/// The connection cannot be used.
pub async fn upgradable(io: BoxedIo) -> hyper::Result<SendRequest<Body>> {
    let (sender, connection) = http1_client().handshake(TokioIo::new(io)).await?;
    tokio::task::spawn_local(async move {
        // Whoever waits for a response is told as well.
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "HTTP/1.1 connection ended");
        }
    });
    Ok(sender)
}
