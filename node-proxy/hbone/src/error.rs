//! What ends a connection, and why a stream was not opened.

use std::io;

use http::StatusCode;

/// What ended a whole HBONE connection.
#[derive(Debug, thiserror::Error)]
pub enum HboneError {
    /// The HTTP/2 handshake took too long.
    #[error("the HTTP/2 handshake took too long")]
    HandshakeTimeout,
    /// The peer gave no sign of life.
    #[error("the peer does not answer pings")]
    PeerGone,
    /// The connection broke, or the peer broke the rules of HTTP/2.
    #[error("HTTP/2: {0}")]
    Http2(#[from] h2::Error),
}

/// Why a stream was not opened. No byte of the user's has been sent in any of these cases.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The peer answered with another status than 200.
    #[error("the peer refused the stream: {0}")]
    Refused(StatusCode),
    /// The tunnel takes no more streams (it is closed, going away, or broke); another one may.
    #[error("the tunnel is closed: {0}")]
    Closed(h2::Error),
    /// The address cannot be written as an authority. Does not happen with socket addresses.
    #[error("the request cannot be built: {0}")]
    Request(#[from] http::Error),
}

impl OpenError {
    /// Whether the tunnel itself failed, so that a new one to the same peer is worth a try.
    pub fn is_tunnel_gone(&self) -> bool {
        matches!(self, Self::Closed(_))
    }
}

/// An HTTP/2 error in the words of sockets: a reset stream is a reset connection.
pub(crate) fn to_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error
            .into_io()
            .unwrap_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted));
    }
    let kind = if error.is_reset() {
        io::ErrorKind::ConnectionReset
    } else {
        io::ErrorKind::ConnectionAborted
    };
    io::Error::new(kind, error)
}
