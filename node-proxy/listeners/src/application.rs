//! The last leg: from the proxy to the pod's own application, with the client's address.

use std::{cell::RefCell, io, net::SocketAddr, time::Duration};

use heddle_filters::Application;
use heddle_redirect::{Netns, socket::connect_socket};
use tokio::net::TcpStream;

use crate::{PodContext, Settings};

/// Connects to the applications of one pod.
pub(crate) trait LastLeg: Clone + 'static {
    /// A connection.
    type Io: heddle_upstream::Io + 'static;

    /// Connects to `destination`, so that the application sees `client`'s address.
    fn connect(
        &self,
        destination: SocketAddr,
        client: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::Io>>;
}

/// Connects in a pod's network namespace.
#[derive(Clone)]
pub(crate) struct PodLeg {
    netns: Netns,
    timeout: Duration,
}

impl PodLeg {
    pub(crate) fn new(pod: &PodContext, settings: &Settings) -> Self {
        Self {
            netns: pod.netns.clone(),
            timeout: settings.application_connect_timeout,
        }
    }
}

impl LastLeg for PodLeg {
    type Io = TcpStream;

    async fn connect(&self, destination: SocketAddr, client: SocketAddr) -> io::Result<TcpStream> {
        let source = source_for(destination, client);
        let socket = connect_socket(&self.netns, destination, source)?;
        match tokio::time::timeout(self.timeout, socket.connect(destination)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// The source address for the last leg: the client's, with any port. `None`: the pod's own, because the client's cannot stand
/// on this connection (a loopback address, or one of the other family).
fn source_for(destination: SocketAddr, client: SocketAddr) -> Option<SocketAddr> {
    let possible = !client.ip().is_loopback() && client.is_ipv4() == destination.is_ipv4();
    possible.then(|| SocketAddr::new(client.ip(), 0))
}

/// The application that one client connection is for. A connection that was made ahead is used first.
pub(crate) struct Leg<L: LastLeg> {
    pub(crate) legs: L,
    pub(crate) destination: SocketAddr,
    pub(crate) client: SocketAddr,
    pub(crate) ready: RefCell<Option<L::Io>>,
}

impl<L: LastLeg> Application for Leg<L> {
    type Io = L::Io;

    async fn connect(&self) -> io::Result<L::Io> {
        if let Some(ready) = self.ready.take() {
            return Ok(ready);
        }
        self.legs.connect(self.destination, self.client).await
    }
}
