//! The mesh's own TLS connections: TLS 1.3 whose records are encrypted and decrypted on the way, not copied before or afterwards.
//!
//! rustls makes the handshake, checks the peer, derives all keys, and encrypts and decrypts each record; it is everything that knows
//! cryptography here. This crate reads records from the connection in large pieces, puts each under the right key and number, and opens
//! it into the memory of whoever reads (small ones with one copy), where `tokio-rustls` makes three copies (ADR 0017). It follows key updates and alerts, and sends them.
//!
//! It never speaks TLS 1.2, resumes no session and keeps no ticket, takes no early data, and knows neither identities nor policy: those are in
//! the configuration that it is given, which must have `enable_secret_extraction` set.
//!
//! ```text
//! connect(config, name, io) ─┐              ┌─ TlsStream ═ Reader (records in)  ═ io
//! accept(config, io) ────────┴─▶ handshake ─┤            ═ Writer (records out) ═ io
//!                                           └─ the peer's certificates
//! ```
//!
//! `heddle-upstream` connects tunnels with it, `heddle-listeners` accepts them. Sections named here are those of RFC 8446.

mod aead;
mod handshake;
mod keys;
mod messages;
mod payload;
mod reader;
mod records;
mod stream;
mod writer;

use std::{io, sync::Arc};

use rustls::{
    ClientConfig, ServerConfig,
    client::UnbufferedClientConnection,
    pki_types::{CertificateDer, ServerName},
    server::UnbufferedServerConnection,
};
use tokio::io::{AsyncRead, AsyncWrite};

pub use stream::TlsStream;

/// A connection after its handshake.
#[derive(Debug)]
pub struct Established<I> {
    /// What is read from and written to.
    pub stream: TlsStream<I>,
    /// What the peer has proven itself with, its own certificate first; empty if it showed none.
    pub peer: Vec<CertificateDer<'static>>,
}

/// The client's handshake over `io`, until it may send.
///
/// Has no limit of time of its own.
///
/// # Errors
/// The connection broke (its own kind of error), or the handshake failed (`InvalidData`, with the [`rustls::Error`] inside, after the peer
/// was told by an alert).
pub async fn connect<I>(
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    io: I,
) -> io::Result<Established<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let connection = UnbufferedClientConnection::new(config, name).map_err(failed)?;
    handshake::make(connection, io).await
}

/// The server's handshake over `io`, until the client is known.
///
/// Has no limit of time of its own.
///
/// # Errors
/// As of [`connect`].
pub async fn accept<I>(config: Arc<ServerConfig>, io: I) -> io::Result<Established<I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let connection = UnbufferedServerConnection::new(config).map_err(failed)?;
    handshake::make(connection, io).await
}

fn failed(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// What this crate reads of a peer's bytes without rustls, as functions of bytes: what fuzzing drives. Not for anything else.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::messages::fuzz as messages;
}

#[cfg(test)]
mod tests;
