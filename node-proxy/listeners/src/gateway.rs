//! Connections that come in through a Gateway on this node.

use std::{io, net::TcpListener, rc::Rc, sync::Arc};

use heddle_filters::{Client, Outbound, UpstreamForward, outbound};
use heddle_identity::{Namespace, SpiffeId};
use heddle_redirect::Netns;
use heddle_telemetry::Direction;
use heddle_upstream::Origin;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    Accepted, ConnectionInfo, DataPath, Settings, Worker,
    accept::{Door, Drain},
    dial::Dial,
    http::{HttpServer, version_of},
    outbound::protocol,
    record::TcpRecord,
    relay::tunnels,
};

/// A Gateway's listener on this node. Cheap to clone; the same value is given to the loops of all workers.
#[derive(Clone, Debug)]
pub struct GatewayContext {
    /// xDS name of the listener: `gateway/infra/web/http`.
    pub listener: Arc<str>,
    /// The node's network namespace: where sockets to upstreams are opened.
    pub netns: Netns,
    /// Who the Gateway is towards the pods.
    pub identity: SpiffeId,
    /// The Gateway's namespace.
    pub namespace: Namespace,
    connections: Arc<Semaphore>,
}

impl GatewayContext {
    /// A Gateway without connections.
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
        }
    }
}

/// Takes the connections to a Gateway's listener, until `shutdown` and the drain after it.
///
/// # Errors
/// The listener cannot be used on this runtime.
pub async fn serve_gateway(
    listener: TcpListener,
    gateway: GatewayContext,
    worker: Worker,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let path = worker.path;
    let door = Door {
        direction: Direction::Gateway,
        connections: gateway.connections,
        path: path.clone(),
    };
    let forward = UpstreamForward {
        upstream: worker.upstream,
        origin: Origin::gateway(gateway.netns, gateway.identity, gateway.namespace),
    };
    let handle = |stream, info, drain| {
        let (path, forward) = (path.clone(), forward.clone());
        let listener = Arc::clone(&gateway.listener);
        async move { take(stream, info, &listener, &path, &drain, forward).await }
    };
    door.serve(listener, shutdown, handle).await
}

/// Takes one connection.
pub(crate) async fn take<I, D>(
    mut io: I,
    info: ConnectionInfo,
    listener: &Arc<str>,
    path: &DataPath,
    drain: &Drain,
    forward: D,
) where
    I: Accepted,
    D: Dial,
{
    let mut record = TcpRecord::begin(Direction::Gateway, info, &path.metrics);
    let Some((version, start)) = version_of(&mut io, &path.settings.http, drain).await else {
        return;
    };
    let (client, routes) = {
        let config = path.config.load();
        let workload = config.workloads.at(info.peer.ip());
        let routes = config.gateways.get(listener).map(|g| Arc::clone(&g.routes));
        (
            Client::new(info.peer, workload.map(|w| &**w), None),
            // A Gateway that was just removed has no routes: its requests are answered 404.
            routes.unwrap_or_else(|| Arc::clone(listener)),
        )
    };
    record.source(&client);
    record.protocol(protocol(version));
    let context = Rc::new(Outbound {
        config: Arc::clone(&path.config),
        routes,
        direction: Direction::Gateway,
        client,
        asked: info.original_destination,
        forward,
        tunnels: tunnels(path.clone(), drain.clone(), None),
        metrics: Arc::clone(&path.metrics),
    });
    let service = move |request| {
        let context = Rc::clone(&context);
        async move { outbound(&context, request).await }
    };
    let server = HttpServer {
        settings: &path.settings.http,
        drain,
        live: None,
    };
    if let Some(problem) = server.serve(io, (version, start), service).await {
        record.broken(problem);
    }
}
