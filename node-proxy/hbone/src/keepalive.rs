//! Finds out that a peer is gone, where TCP would take many minutes.

use std::time::Duration;

use h2::{Ping, PingPong};

use crate::{HboneError, Settings};

/// Sends pings for ever; returns when one is not answered. Must be polled together with the connection.
pub(crate) async fn keepalive(pings: Option<PingPong>, settings: Settings) -> HboneError {
    let Some(mut pings) = pings else {
        // Only a second caller gets none; then the first one does the work.
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(settings.ping_interval).await;
        match answered(&mut pings, settings.ping_timeout).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return error.into(),
            None => return HboneError::PeerGone,
        }
    }
}

async fn answered(pings: &mut PingPong, limit: Duration) -> Option<Result<(), h2::Error>> {
    let pong = tokio::time::timeout(limit, pings.ping(Ping::opaque()))
        .await
        .ok()?;
    Some(pong.map(|_| ()))
}
