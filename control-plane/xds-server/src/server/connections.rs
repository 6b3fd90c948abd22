//! Bounds connections: how many there are, and how long one may be open without a stream.
//!
//! A connection costs memory and a descriptor before anybody has shown a token. Streams are bounded by who their token belongs to; here is
//! what bounds those who open none.
//!
//! ```text
//! accept ─▶ admit(peer) ─▶ TLS handshake ─▶ watch(stream) ─▶ HTTP/2 ─▶ layer: a request that is let in ─▶ services
//!                └─ a place, until the connection ends ──────────┘            └─ the connection is in use until its response ends
//! ```

use std::{
    collections::HashMap,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use tokio::time::Instant;
use tonic::{body::Body, codegen::Service};
use tower::Layer;

mod watched;

pub use watched::{ConnectionInfo, Watched};

/// How often it is told that there are too many connections in all.
const REMINDER: Duration = Duration::from_secs(60);

/// Bounds of connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections in total, those in their handshake included.
    pub total: usize,
    /// Connections from one address. Behind a load balancer that hides its clients' addresses, all of them together.
    pub per_peer: usize,
    /// How long a connection may be open without a stream that was let in: before its first one, and after its last.
    pub without_stream: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: 20_000,
            // One node has a few hundred pods at most, each of which may have a connection of its own.
            per_peer: 512,
            // Well above the ten seconds in which a client must say something on its stream, and in which a token is checked.
            without_stream: Duration::from_secs(30),
        }
    }
}

/// Why a connection is not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// Its peer has too many.
    #[error("{peer} has {limit} connections already")]
    Peer {
        /// Where it comes from.
        peer: IpAddr,
        /// How many are allowed.
        limit: usize,
    },
    /// There are too many.
    #[error("there are {limit} connections already")]
    Total {
        /// How many are allowed.
        limit: usize,
    },
}

/// What became of connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionCounts {
    /// Open at present.
    pub open: usize,
    /// Refused because their peer had too many, ever.
    pub refused_by_peer: u64,
    /// Refused because there were too many, ever.
    pub refused_by_total: u64,
    /// Closed because they had no stream for too long, ever.
    pub without_stream: u64,
}

#[derive(Debug, Default)]
struct Peer {
    open: usize,
    /// What was told about it, until its last connection ends.
    told_refused: bool,
    told_idle: bool,
}

#[derive(Debug, Default)]
struct Table {
    counts: ConnectionCounts,
    /// Those with an open connection.
    peers: HashMap<IpAddr, Peer>,
    told_total: Option<Instant>,
}

#[derive(Debug)]
struct Inner {
    limits: ConnectionLimits,
    table: Mutex<Table>,
}

/// All connections of a server. Cheap to clone; all clones are the same.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Inner>);

impl Connections {
    /// None is open yet.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self(Arc::new(Inner {
            limits,
            table: Mutex::default(),
        }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection in, if there is room. Ask before the handshake; close what is refused.
    pub fn admit(&self, peer: IpAddr) -> Result<Place, Crowded> {
        let peer = peer.to_canonical();
        let ConnectionLimits {
            total, per_peer, ..
        } = self.0.limits;
        let mut table = self.table();
        let Table {
            counts,
            peers,
            told_total,
        } = &mut *table;
        if let Some(of_peer) = peers.get_mut(&peer)
            && of_peer.open >= per_peer
        {
            counts.refused_by_peer += 1;
            let crowded = Crowded::Peer {
                peer,
                limit: per_peer,
            };
            if !std::mem::replace(&mut of_peer.told_refused, true) {
                tracing::warn!("connections are refused: {crowded}");
            }
            return Err(crowded);
        }
        if counts.open >= total {
            counts.refused_by_total += 1;
            let crowded = Crowded::Total { limit: total };
            if told_total.is_none_or(|told| told.elapsed() >= REMINDER) {
                *told_total = Some(Instant::now());
                tracing::warn!("connections are refused: {crowded}");
            }
            return Err(crowded);
        }
        counts.open += 1;
        peers.entry(peer).or_default().open += 1;
        drop(table);
        Ok(Place {
            connections: self.clone(),
            peer,
        })
    }

    /// What became of connections until now.
    pub fn counts(&self) -> ConnectionCounts {
        self.table().counts
    }

    /// Notes which connections are in use; for `tonic::transport::Server::layer`. `I` is what the accepted streams tell about themselves
    /// ([`Connected::ConnectInfo`](tonic::transport::server::Connected)); services find it where they would without this.
    pub fn layer<S, I>() -> impl Layer<S, Service = CountStreams<S, I>> + Clone {
        tower::layer::layer_fn(|service| CountStreams {
            service,
            info: std::marker::PhantomData,
        })
    }
}

/// One connection's place. It is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    connections: Connections,
    peer: IpAddr,
}

impl Place {
    /// Watches over the connection from now on.
    pub fn watch<S>(self, stream: S) -> Watched<S> {
        let limit = self.connections.0.limits.without_stream;
        Watched::new(self, stream, limit)
    }

    /// The connection is closed because it has had no stream for so long.
    fn note_idle(&self, limit: Duration) {
        let mut table = self.connections.table();
        table.counts.without_stream += 1;
        let peer = self.peer;
        if let Some(of_peer) = table.peers.get_mut(&peer)
            && !std::mem::replace(&mut of_peer.told_idle, true)
        {
            tracing::info!(%peer, "a connection is closed: no stream was let in on it for {limit:?}");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.connections.table();
        table.counts.open -= 1;
        if let Some(of_peer) = table.peers.get_mut(&self.peer) {
            of_peer.open -= 1;
            if of_peer.open == 0 {
                table.peers.remove(&self.peer);
            }
        }
    }
}

#[derive(Debug)]
struct Use {
    streams: usize,
    idle_since: Instant,
}

/// Whether a connection is in use.
#[derive(Debug)]
struct Activity(Mutex<Use>);

impl Activity {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Use {
            streams: 0,
            idle_since: Instant::now(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Use> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when no stream is open.
    fn idle_since(&self) -> Option<Instant> {
        let now = self.lock();
        (now.streams == 0).then_some(now.idle_since)
    }

    fn begin(self: &Arc<Self>) -> InUse {
        self.lock().streams += 1;
        InUse(Arc::clone(self))
    }
}

/// A stream that was let in.
struct InUse(Arc<Activity>);

impl Drop for InUse {
    fn drop(&mut self) {
        let mut now = self.0.lock();
        now.streams -= 1;
        now.idle_since = Instant::now();
    }
}

/// Counts the streams that are let in on each connection.
#[derive(Debug)]
pub struct CountStreams<S, I> {
    service: S,
    info: std::marker::PhantomData<fn() -> I>,
}

impl<S: Clone, I> Clone for CountStreams<S, I> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            info: self.info,
        }
    }
}

impl<S, I> Service<http::Request<Body>> for CountStreams<S, I>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    I: Clone + Send + Sync + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let info = request.extensions_mut().remove::<ConnectionInfo<I>>();
        let activity = info.map(|info| {
            request.extensions_mut().insert(info.stream);
            info.activity
        });
        let response = self.service.call(request);
        Box::pin(async move {
            let response = response.await?;
            // Trailers without a body: it was refused. Refused streams do not keep a connection open.
            Ok(match activity {
                Some(activity) if !response.headers().contains_key("grpc-status") => {
                    let in_use = activity.begin();
                    response.map(|body| {
                        Body::new(Counted {
                            body,
                            _in_use: in_use,
                        })
                    })
                }
                _ => response,
            })
        })
    }
}

/// A response; the connection is in use as long as it lasts.
struct Counted {
    body: Body,
    _in_use: InUse,
}

impl http_body::Body for Counted {
    type Data = <Body as http_body::Body>::Data;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
