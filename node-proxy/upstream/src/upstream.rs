//! The handle that filters and listeners hold.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use heddle_cert_client::Certificates;
use heddle_config::{Inside, PodUid, SharedConfig};
use heddle_hbone::{ByteStream, Room};
use heddle_routing::ClusterName;
use heddle_telemetry::Metrics;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    Answer, Body, BoxedIo, ConnectError, Connected, Destination, Origin, RequestError,
    UpstreamSettings,
    attempt::{Attempt, Attempts, allowed},
    balance::Pending,
    clusters::Clusters,
    dial::{self, Dialed, Dialer, Failure},
    http::HttpPools,
    tunnels::Tunnels,
};

/// How often idle connections are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// The way out, for one worker. Cheap to clone. Must be used inside a `LocalSet`.
#[derive(Clone)]
pub struct Upstream {
    pub(crate) inner: Rc<Inner>,
}

pub(crate) struct Inner {
    config: SharedConfig,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Arc<UpstreamSettings>,
    clusters: RefCell<Clusters>,
    pub(crate) dialer: Dialer,
    pub(crate) http: HttpPools,
    sweeps: Cell<bool>,
}

/// What was made so far, and what stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamCounts {
    /// HBONE tunnels made.
    pub tunnels_made: u64,
    /// HBONE tunnels that stand.
    pub tunnels: usize,
    /// HTTP connections made, of either version.
    pub http_made: u64,
    /// HTTP/1.1 connections that wait for a request.
    pub http1_idle: usize,
    /// HTTP/2 connections that stand.
    pub http2: usize,
}

impl Upstream {
    /// For one worker. Nothing is connected yet.
    pub fn new(
        config: SharedConfig,
        certificates: Certificates,
        metrics: Arc<Metrics>,
        settings: UpstreamSettings,
    ) -> Self {
        let settings = Arc::new(settings);
        Self {
            inner: Rc::new(Inner {
                config,
                metrics,
                clusters: RefCell::default(),
                dialer: Dialer {
                    certificates,
                    tunnels: Tunnels::default(),
                    settings: settings.clone(),
                },
                http: HttpPools::new(settings.clone()),
                settings,
                sweeps: Cell::new(false),
            }),
        }
    }

    /// Connects on behalf of `from`. When this returns, the endpoint's application has accepted the connection (plain TCP: the
    /// kernel has).
    ///
    /// Of a cluster, endpoints that fail are replaced by others, each tried once, within the limits of the settings.
    pub async fn connect(&self, from: &Origin, to: Destination) -> Result<Connected, ConnectError> {
        self.sweep_from_now_on();
        let tried = Cell::new(0);
        let connecting = async {
            match to {
                Destination::Cluster(name) => self.connect_cluster(from, &name, &tried).await,
                Destination::Address(address) => {
                    tried.set(1);
                    self.connect_address(from, address).await
                }
            }
        };
        let limit = self.inner.settings.connect_deadline;
        tokio::time::timeout(limit, connecting)
            .await
            .unwrap_or_else(|_| {
                Err(ConnectError::Deadline {
                    limit,
                    tried: tried.get(),
                })
            })
    }

    /// Sends a request on behalf of `from` to an endpoint of the cluster and returns when the response's head is there. Has no limit
    /// of time of its own beyond connecting: dropping the future gives the request up.
    ///
    /// The request is put into the form of the endpoint's protocol: hop-by-hop headers are removed (an `Upgrade` is kept), Host
    /// and authority are translated into each other. Everything else is as it was.
    pub async fn request(
        &self,
        from: &Origin,
        cluster: &ClusterName,
        request: Box<http::Request<Body>>,
    ) -> Result<Answer, RequestError> {
        self.sweep_from_now_on();
        self.send(from, cluster, request).await
    }

    /// Forgets what is pooled for a pod that has gone. Connections in use go on.
    pub fn forget(&self, pod: &PodUid) {
        self.inner.dialer.tunnels.forget(pod);
        self.inner.http.forget(pod);
    }

    /// What was made so far, and what stands now; for the admin interface and tests.
    pub fn counts(&self) -> UpstreamCounts {
        UpstreamCounts {
            tunnels_made: self.inner.dialer.tunnels.made(),
            tunnels: self.inner.dialer.tunnels.standing(),
            http_made: self.inner.http.made(),
            http1_idle: self.inner.http.idle(),
            http2: self.inner.http.multiplexed(),
        }
    }

    pub(crate) fn attempts(&self, name: &ClusterName) -> Result<Attempts, ConnectError> {
        let config = self.inner.config.load();
        let choice = self.inner.clusters.borrow_mut().find(&config, name)?;
        Ok(Attempts::new(choice, self.inner.settings.most_endpoints))
    }

    pub(crate) fn next(&self, attempts: &Attempts, from: &Origin) -> Result<Attempt, ConnectError> {
        let config = self.inner.config.load();
        attempts.next(&config, from, &self.inner.metrics)
    }

    async fn connect_cluster(
        &self,
        from: &Origin,
        name: &ClusterName,
        tried: &Cell<usize>,
    ) -> Result<Connected, ConnectError> {
        let mut attempts = self.attempts(name)?;
        let limit = attempts.cluster.connect_timeout;
        loop {
            let attempt = self.next(&attempts, from)?;
            tried.set(attempts.tried());
            let pending = attempt.load.begin();
            match self
                .inner
                .dialer
                .dial(from, &attempt.target, limit, Inside::Bytes)
                .await
            {
                Ok(Dialed { io, .. }) => {
                    attempt
                        .load
                        .observe(Instant::now(), attempt.begun.elapsed());
                    return Ok(Connected {
                        io: Box::new(Counted {
                            io,
                            _pending: pending,
                        }),
                        target: attempt.target,
                    });
                }
                Err(failure) => attempts.failed(attempt, failure)?,
            }
        }
    }

    async fn connect_address(
        &self,
        from: &Origin,
        address: std::net::SocketAddr,
    ) -> Result<Connected, ConnectError> {
        let target = {
            let config = self.inner.config.load();
            allowed(&config, from, address, &self.inner.metrics)?;
            dial::target(&config, address)
        };
        let limit = self.inner.settings.address_connect_timeout;
        match self
            .inner
            .dialer
            .dial(from, &target, limit, Inside::Bytes)
            .await
        {
            Ok(Dialed { io, .. }) => Ok(Connected { io, target }),
            Err(Failure::Certificate(error)) => Err(error.into()),
            Err(Failure::Endpoint(source)) => Err(ConnectError::Failed {
                target,
                tried: 1,
                source,
            }),
        }
    }

    /// Starts the sweeping task with the first use: only then are we sure to be inside a `LocalSet`.
    fn sweep_from_now_on(&self) {
        if !self.inner.sweeps.replace(true) {
            tokio::task::spawn_local(sweep(Rc::downgrade(&self.inner)));
        }
    }
}

/// Closes what is idle, until the last handle is gone.
async fn sweep(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        let now = Instant::now();
        inner.dialer.tunnels.sweep(now, inner.settings.tunnel_idle);
        inner.http.sweep(now);
    }
}

/// A connection that counts as its endpoint's load.
struct Counted {
    io: BoxedIo,
    _pending: Pending,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    heddle_hbone::write_through!(io);
}

impl ByteStream for Counted {
    fn poll_take(&mut self, cx: &mut Context<'_>, room: &mut Room) -> Poll<io::Result<Bytes>> {
        self.io.poll_take(cx, room)
    }

    fn poll_give(&mut self, cx: &mut Context<'_>, piece: &mut Bytes) -> Poll<io::Result<()>> {
        self.io.poll_give(cx, piece)
    }
}
