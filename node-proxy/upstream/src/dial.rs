//! One attempt to connect to one endpoint: plain TCP from the origin's network namespace, or a stream in a tunnel.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use heddle_cert_client::{CertError, Certificates};
use heddle_config::{Inside, ProxyConfig, Tunnel, Workload};
use heddle_hbone::{HboneStream, OpenError, ReadAhead};
use heddle_identity::SpiffeId;
use heddle_redirect::socket;
use heddle_tls::TlsStream;
use http::HeaderMap;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{
    BoxedIo, DialError, Origin, Target, UpstreamSettings,
    tunnels::{Peer, TunnelKey, Tunnels},
};

/// How often another tunnel to the same peer is tried, if one goes away while it is being used or made.
const MOST_REPEATS: u32 = 2;

/// Why an attempt failed, and what that means for the others.
pub(crate) enum Failure {
    /// This endpoint failed; another one may not.
    Endpoint(Arc<DialError>),
    /// No other endpoint can help: we have no certificate.
    Certificate(CertError),
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        Self::Endpoint(Arc::new(error))
    }
}

/// A connection, and the way that it goes.
pub(crate) struct Dialed {
    pub(crate) io: BoxedIo,
    pub(crate) way: Way,
}

impl Dialed {
    /// A connection that is in no tunnel.
    pub(crate) fn direct(io: BoxedIo) -> Self {
        let way = Way(None);
        Self { io, way }
    }
}

/// The tunnel that a connection is in; `None`: in none.
#[derive(Clone, Debug)]
pub(crate) struct Way(Option<heddle_hbone::client::Tunnel>);

impl Way {
    /// Whether it is worth keeping a connection on it for later: a peer whose proxy is being replaced has said so, and will cut what is idle.
    pub(crate) fn lasts(&self) -> bool {
        let tunnel = self.0.as_ref();
        tunnel.is_none_or(heddle_hbone::client::Tunnel::is_usable)
    }
}

/// How to reach an address, by what the configuration says about who is there.
pub(crate) fn target(config: &ProxyConfig, address: SocketAddr) -> Target {
    let workload = config.workloads.at(address.ip()).cloned();
    Target {
        address,
        mtls: workload.as_deref().is_some_and(speaks_hbone),
        workload,
        tls: None,
    }
}

fn speaks_hbone(workload: &Workload) -> bool {
    // The address of a pod in its node's network does not tell who is there, so no identity could be expected.
    workload.tunnel == Tunnel::Hbone && !workload.host_network
}

/// Makes connections for one worker.
pub(crate) struct Dialer {
    pub(crate) certificates: Certificates,
    pub(crate) tunnels: Tunnels,
    pub(crate) settings: Arc<UpstreamSettings>,
}

impl Dialer {
    /// Connects; `limit` is for each step. Where the target speaks TLS, that is spoken, with `inside` offered by ALPN.
    pub(crate) async fn dial(
        &self,
        from: &Origin,
        target: &Target,
        limit: Duration,
        inside: Inside,
    ) -> Result<Dialed, Failure> {
        let Dialed { io, way } = self.dial_bytes(from, target, limit).await?;
        let Some(wanted) = &target.tls else {
            return Ok(Dialed { io, way });
        };
        let name = wanted.server_name(target.address.ip());
        let connecting =
            TlsConnector::from(wanted.config(inside)).connect(name, ReadAhead::new(io));
        let encrypted = within("TLS", limit, connecting).await?;
        let io = encrypted.map_err(DialError::UpstreamTls)?;
        Ok(Dialed {
            io: Box::new(io),
            way,
        })
    }

    /// Connects; `limit` is for each step. What the target says is done: a failed tunnel is a failure, never a plain connection.
    async fn dial_bytes(
        &self,
        from: &Origin,
        target: &Target,
        limit: Duration,
    ) -> Result<Dialed, Failure> {
        match &target.workload {
            Some(workload) if target.mtls => {
                let (stream, tunnel) = self
                    .open_stream(from, workload, target.address, limit)
                    .await?;
                Ok(Dialed {
                    io: Box::new(stream),
                    way: Way(Some(tunnel)),
                })
            }
            _ => Ok(Dialed {
                io: Box::new(tcp(from, target.address, limit).await?),
                way: Way(None),
            }),
        }
    }

    async fn open_stream(
        &self,
        from: &Origin,
        workload: &Workload,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<(HboneStream, heddle_hbone::client::Tunnel), Failure> {
        let key = TunnelKey {
            origin: from.key(),
            peer: Peer::of(workload),
            address: SocketAddr::new(address.ip(), self.settings.hbone_port),
        };
        let mut left = MOST_REPEATS;
        loop {
            let make = || self.make_tunnel(from, &workload.identity, key.address, limit);
            let tunnel = match self.tunnels.checkout(&key, make).await {
                Ok(tunnel) => tunnel,
                // The peer's proxy is being replaced, and closed the connection that it had just got; nothing was sent.
                Err(Failure::Endpoint(error)) if left > 0 && error.is_hung_up() => {
                    left -= 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let opened = within(
                "opening a stream",
                limit,
                tunnel.open(address, HeaderMap::new()),
            );
            match opened.await? {
                Ok(stream) => return Ok((stream, tunnel)),
                // It went away in this very moment, an old one or a new one: a proxy that is being replaced sends GOAWAY to both. Nothing was sent.
                Err(error) if error.is_tunnel_gone() && left > 0 => left -= 1,
                Err(OpenError::Refused(status)) => return Err(DialError::Refused(status).into()),
                Err(error) => return Err(DialError::Open(error).into()),
            }
        }
    }

    async fn make_tunnel(
        &self,
        from: &Origin,
        expected: &SpiffeId,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<heddle_hbone::client::Tunnel, Failure> {
        let config = self
            .certificates
            .client_config(&from.identity, expected)
            .await
            .map_err(Failure::Certificate)?;
        let stream = tcp(from, address, limit).await?;
        let tls = tls(config, stream, address, limit).await?;
        let (tunnel, driver) = heddle_hbone::client::connect(tls, self.settings.hbone)
            .await
            .map_err(DialError::Tunnel)?;
        // On the heap, since a block that takes a future in has room for it twice.
        let driver = Box::pin(driver);
        tokio::task::spawn_local(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%address, %error, "tunnel ended");
            }
        });
        Ok(tunnel)
    }
}

async fn tcp(from: &Origin, address: SocketAddr, limit: Duration) -> Result<TcpStream, DialError> {
    let socket = socket::connect_socket(&from.netns, address, None).map_err(DialError::Socket)?;
    within("TCP", limit, socket.connect(address))
        .await?
        .map_err(DialError::Tcp)
}

async fn tls(
    config: Arc<rustls::ClientConfig>,
    stream: TcpStream,
    address: SocketAddr,
    limit: Duration,
) -> Result<TlsStream<TcpStream>, DialError> {
    // Required by the type, but neither sent (no SNI) nor checked: the configuration expects an identity.
    let name = ServerName::IpAddress(address.ip().into());
    let connecting = heddle_tls::connect(config, name, stream);
    let established = within("TLS", limit, connecting).await?;
    Ok(established.map_err(DialError::Tls)?.stream)
}

async fn within<F: Future>(
    step: &'static str,
    limit: Duration,
    future: F,
) -> Result<F::Output, DialError> {
    tokio::time::timeout(limit, future)
        .await
        .map_err(|_| DialError::Timeout { step, limit })
}
