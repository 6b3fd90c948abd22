//! An accepted connection.

use std::{net::SocketAddr, time::Duration};

use heddle_hbone::{ByteStream, HboneStream, ReadAhead};
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What is known about a connection before its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The other end.
    pub peer: SocketAddr,
    /// Where the other end wanted to go, before it was redirected here.
    pub original_destination: SocketAddr,
}

impl ConnectionInfo {
    /// With IPv4 addresses as such, also where a socket for both families shows them as ::ffff:a.b.c.d.
    pub fn new(peer: SocketAddr, original_destination: SocketAddr) -> Self {
        Self {
            peer: canonical(peer),
            original_destination: canonical(original_destination),
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The client's side of a connection.
pub trait Accepted: ByteStream + Send + 'static {
    /// When it is dropped the client is to see that the connection broke, not that it ended.
    fn abort_on_drop(&self);
}

impl Accepted for TcpStream {
    fn abort_on_drop(&self) {
        // If it fails the client sees an end instead of a reset: less clear, but closed all the same.
        let _ = SockRef::from(self).set_linger(Some(Duration::ZERO));
    }
}

impl<I: Accepted> Accepted for TlsStream<ReadAhead<I>> {
    fn abort_on_drop(&self) {
        self.get_ref().0.get_ref().abort_on_drop();
    }
}

impl Accepted for HboneStream {
    /// Dropped before both directions have ended, it resets its stream by itself.
    fn abort_on_drop(&self) {}
}

impl Accepted for tokio::io::DuplexStream {
    /// A pipe in memory has no resets.
    fn abort_on_drop(&self) {}
}
