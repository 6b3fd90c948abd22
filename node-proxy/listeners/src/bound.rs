//! Connections to the node's own addresses: through a Gateway, or to a listener of another control plane.

use std::{io, net::TcpListener, rc::Rc, sync::Arc};

use bytes::BytesMut;
use heddle_config::{BoundProtocol, ClusterName};
use heddle_filters::{
    Body, Client, Failure, Outbound, OverTls, UpstreamForward, outbound, share_of,
};
use heddle_hbone::ReadAhead;
use heddle_identity::{Namespace, SpiffeId};
use heddle_redirect::Netns;
use heddle_routing::WeightedClusters;
use heddle_telemetry::{Direction, ResponseFlag};
use heddle_upstream::{Destination, Origin};
use tokio::sync::Semaphore;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    Accepted, ConnectionInfo, DataPath, Settings, Worker,
    accept::{Door, Drain},
    dial::Dial,
    http::{HttpServer, Version, version_of},
    outbound::protocol,
    record::TcpRecord,
    relay::{relay, tunnels},
};

/// A listener on the node's own addresses. Cheap to clone; the same value is given to the loops of all workers.
#[derive(Clone, Debug)]
pub struct BoundContext {
    /// xDS name of the listener: `gateway/infra/web/http`.
    pub listener: Arc<str>,
    /// The node's network namespace: where sockets to upstreams are opened.
    pub netns: Netns,
    /// Who the listener is towards the pods.
    pub identity: SpiffeId,
    /// The namespace that its requests come from.
    pub namespace: Namespace,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

impl BoundContext {
    /// A listener without connections.
    pub fn new(
        listener: Arc<str>,
        netns: Netns,
        identity: SpiffeId,
        namespace: Namespace,
        settings: &Settings,
    ) -> Self {
        Self {
            listener,
            netns,
            identity,
            namespace,
            connections: Arc::new(Semaphore::new(settings.connections_per_pod)),
            handshakes: Arc::new(Semaphore::new(settings.handshakes)),
        }
    }
}

/// Takes the connections to a listener, until `shutdown` and the drain after it. What is spoken is looked up for each
/// connection anew: it may change while the socket stays.
///
/// # Errors
/// The listener cannot be used on this runtime.
pub async fn serve_bound(
    listener: TcpListener,
    bound: BoundContext,
    worker: Worker,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let path = worker.path;
    let door = Door {
        direction: Direction::Gateway,
        connections: bound.connections,
        path: path.clone(),
    };
    let forward = UpstreamForward {
        upstream: worker.upstream,
        origin: Origin::gateway(bound.netns, bound.identity, bound.namespace),
    };
    let handle = |stream, info, drain| {
        let (path, forward) = (path.clone(), forward.clone());
        let (listener, handshakes) = (Arc::clone(&bound.listener), Arc::clone(&bound.handshakes));
        async move { take(stream, info, &listener, &path, &drain, &handshakes, forward).await }
    };
    door.serve(listener, shutdown, handle).await
}

/// Takes one connection.
pub(crate) async fn take<I, D>(
    io: I,
    info: ConnectionInfo,
    listener: &Arc<str>,
    path: &DataPath,
    drain: &Drain,
    handshakes: &Semaphore,
    forward: D,
) where
    I: Accepted,
    D: Dial,
{
    let record = TcpRecord::begin(Direction::Gateway, info, &path.metrics);
    let known = path.config.load().bound.get(listener).cloned();
    let Some(known) = known else {
        let text = format!("the listener {listener:?} was just removed");
        return refuse(&io, record, &Failure::new(ResponseFlag::NoRoute, text));
    };
    let connection = BoundConnection {
        info,
        over_tls: known.tls.is_some(),
        path,
        drain,
        forward,
    };
    if known.tls.is_none() {
        return connection.carry(io, &known.protocol, record).await;
    }
    match Box::pin(encrypted(io, listener, path, handshakes)).await {
        Ok(io) => connection.carry(io, &known.protocol, record).await,
        Err(failure) => record.refused(&failure),
    }
}

/// The TLS handshake, with the certificate of this moment. Without one nothing is said, least of all in plain text.
async fn encrypted<I: Accepted>(
    io: I,
    listener: &Arc<str>,
    path: &DataPath,
    handshakes: &Semaphore,
) -> Result<TlsStream<ReadAhead<I>>, Failure> {
    let failed = |reason: String| Failure::new(ResponseFlag::TlsFailure, reason);
    let Some(config) = path.config.load().server_tls.get(listener).cloned() else {
        io.abort_on_drop();
        return Err(failed(format!(
            "the listener {listener:?} has no certificate"
        )));
    };
    let handshake = async {
        let permit = handshakes.acquire().await;
        let _permit = permit.map_err(|error| failed(error.to_string()))?;
        let accepting = TlsAcceptor::from(config).accept(ReadAhead::new(io)).await;
        accepting.map_err(|error| failed(format!("handshake: {error}")))
    };
    let done = tokio::time::timeout(path.settings.handshake_timeout, handshake).await;
    done.unwrap_or_else(|_| Err(failed("the handshake took too long".to_owned())))
}

fn refuse<I: Accepted>(io: &I, record: TcpRecord, failure: &Failure) {
    io.abort_on_drop();
    record.refused(failure);
}

struct BoundConnection<'a, D> {
    info: ConnectionInfo,
    over_tls: bool,
    path: &'a DataPath,
    drain: &'a Drain,
    forward: D,
}

impl<D: Dial> BoundConnection<'_, D> {
    /// Each kind of connection is on the heap by itself: a connection takes the memory of its own kind, not of the largest.
    async fn carry<I: Accepted>(self, io: I, protocol: &BoundProtocol, record: TcpRecord) {
        match protocol {
            BoundProtocol::Http { routes } => {
                Box::pin(self.http(io, Arc::clone(routes), record)).await;
            }
            BoundProtocol::Opaque { clusters } => {
                Box::pin(self.bytes(io, clusters, record)).await;
            }
        }
    }

    async fn http<I: Accepted>(self, mut io: I, routes: Arc<str>, record: TcpRecord) {
        let settings = &self.path.settings.http;
        if let Some((version, start)) = version_of(&mut io, settings, self.drain).await {
            self.requests(io, routes, version, start, record).await;
        }
    }

    async fn requests<I: Accepted>(
        self,
        io: I,
        routes: Arc<str>,
        version: Version,
        start: BytesMut,
        mut record: TcpRecord,
    ) {
        let client = self.client();
        record.source(&client);
        record.protocol(protocol(version));
        let context = Rc::new(Outbound {
            config: Arc::clone(&self.path.config),
            routes,
            direction: Direction::Gateway,
            client,
            asked: self.info.original_destination,
            forward: self.forward,
            tunnels: tunnels(self.path.clone(), self.drain.clone(), None),
            metrics: Arc::clone(&self.path.metrics),
        });
        let over_tls = self.over_tls;
        let service = move |mut request: http::Request<Body>| {
            if over_tls {
                request.extensions_mut().insert(OverTls);
            }
            outbound(Rc::clone(&context), request)
        };
        let server = HttpServer {
            settings: &self.path.settings.http,
            drain: self.drain,
            live: None,
        };
        if let Some(problem) = server.serve(io, (version, start), service).await {
            record.broken(problem);
        }
    }

    async fn bytes<I: Accepted>(self, io: I, clusters: &WeightedClusters, mut record: TcpRecord) {
        record.source(&self.client());
        // All of them have names: decoding saw to that.
        let cluster: ClusterName = share_of(clusters).cluster.clone().unwrap_or_default();
        record.service(&cluster);
        match self.forward.dial(Destination::Cluster(cluster)).await {
            Ok(connected) => {
                record.target(&connected.target);
                relay(io, connected.io, self.path, self.drain, None, record).await;
            }
            Err(failure) => refuse(&io, record, &failure),
        }
    }

    fn client(&self) -> Client {
        let config = self.path.config.load();
        let workload = config.workloads.at(self.info.peer.ip());
        Client::new(self.info.peer, workload.map(|w| &**w), None)
    }
}
