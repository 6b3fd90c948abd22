//! Telling HTTP from other protocols while the connection to the server is already being made.
//!
//! Whoever speaks first decides: a server that does is no HTTP server, and its words go to the client at once. A client that
//! says nothing for a moment after the server stands is left to speak when it wants, as bytes.

use std::{pin::pin, time::Duration};

use bytes::BytesMut;
use heddle_filters::Failure;
use heddle_upstream::Connected;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, sleep_until},
};

use crate::{
    classify::{Start, classify},
    http::Version,
};

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For the first byte, once the server is connected (or could not be).
    pub(crate) silence: Duration,
    /// For the rest of a beginning that may become HTTP.
    pub(crate) beginning: Duration,
}

/// What was found out. The bytes that were read on the way are given along.
pub(crate) enum Detected {
    /// HTTP; the connection to the server is given up, a request chooses its own.
    Http(Version, BytesMut),
    /// Bytes.
    Opaque {
        /// Already read from the client.
        from_client: BytesMut,
        /// Already read from the server.
        from_server: BytesMut,
        /// The server.
        server: Result<Connected, Failure>,
    },
}

/// Finds out what is spoken.
pub(crate) async fn detect<I, C>(client: &mut I, connect: C, patience: Patience) -> Detected
where
    I: AsyncRead + Unpin,
    C: Future<Output = Result<Connected, Failure>>,
{
    let mut connect = pin!(connect);
    let mut server: Option<Result<Connected, Failure>> = None;
    let mut from_client = BytesMut::with_capacity(1024);
    let mut from_server = BytesMut::new();
    let mut give_up: Option<Instant> = None;
    loop {
        let client_spoke = tokio::select! {
            // The client first: if both have spoken, HTTP is still possible, and the server's words are none of HTTP's.
            biased;
            read = client.read_buf(&mut from_client) => match (read, classify(&from_client)) {
                (Ok(1..), None) => true,
                (_, Some(Start::Http1)) => return Detected::Http(Version::Http1, from_client),
                (_, Some(Start::Http2)) => return Detected::Http(Version::Http2, from_client),
                // Bytes, or an end, or an error, which the copy will see again.
                _ => break,
            },
            result = &mut connect, if server.is_none() => {
                server = Some(result);
                false
            }
            () = server_speaks(&mut server, &mut from_server) => break,
            () = until(give_up) => break,
        };
        if client_spoke {
            give_up = Some(Instant::now() + patience.beginning);
        } else if from_client.is_empty() {
            give_up = Some(Instant::now() + patience.silence);
        }
    }
    let server = match server {
        Some(server) => server,
        None => connect.await,
    };
    Detected::Opaque {
        from_client,
        from_server,
        server,
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Returns when the server has said something, or has closed.
async fn server_speaks(server: &mut Option<Result<Connected, Failure>>, words: &mut BytesMut) {
    match server {
        Some(Ok(connected)) => {
            words.reserve(1024);
            // An error comes again when the bytes are copied.
            let _ = connected.io.read_buf(words).await;
        }
        _ => std::future::pending().await,
    }
}
