//! Connections that a pod opens.

use std::{io, net::TcpListener, rc::Rc, sync::Arc};

use bytes::BytesMut;
use heddle_config::{OutboundProtocol, PodConfig};
use heddle_filters::{Client, Failure, Outbound, UpstreamForward, outbound};
use heddle_routing::ClusterName;
use heddle_telemetry::{Direction, Protocol};
use heddle_upstream::{Connected, Destination, Origin};
use tokio_util::sync::CancellationToken;

use crate::{
    Accepted, ConnectionInfo, DataPath, PodContext, Worker,
    accept::{Door, Drain},
    data_path::pod_of,
    detect::{Detected, Patience, detect},
    dial::Dial,
    http::{HttpServer, Version, version_of},
    judge,
    live::{Judge, LiveConnection},
    prefixed::Prefixed,
    record::TcpRecord,
    relay::{relay, tunnels},
};

/// Takes the connections that a pod opens (port 15001 in its namespace), until `shutdown` and the drain after it.
///
/// # Errors
/// The listener cannot be used on this runtime.
pub async fn serve_outbound(
    listener: TcpListener,
    pod: PodContext,
    worker: Worker,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let door = Door::of_pod(Direction::Outbound, &pod, &worker.path);
    let handle = |stream, info, drain| {
        let (pod, worker) = (pod.clone(), worker.clone());
        async move {
            let dialer = |config: &Arc<PodConfig>| UpstreamForward {
                upstream: worker.upstream.clone(),
                origin: Origin::pod(pod.netns.clone(), Arc::clone(config)),
            };
            take(stream, info, &pod, &worker.path, &drain, dialer).await;
        }
    };
    door.serve(listener, shutdown, handle).await
}

/// Takes one connection.
pub(crate) async fn take<I, D>(
    io: I,
    info: ConnectionInfo,
    pod: &PodContext,
    path: &DataPath,
    drain: &Drain,
    dialer: impl FnOnce(&Arc<PodConfig>) -> D,
) where
    I: Accepted,
    D: Dial,
{
    let record = TcpRecord::begin(Direction::Outbound, info, &path.metrics);
    let config = path.config.load_full();
    let known = pod_of(&config, pod).and_then(|known| {
        judge::not_own_port(known, info.original_destination)?;
        Ok(Arc::clone(known))
    });
    let pod = match known {
        Ok(known) => known,
        Err(failure) => return refuse(&io, record, &failure),
    };
    let listener = config
        .outbound_listener(&pod.name.namespace, info.original_destination)
        .map(|listener| listener.protocol.clone());
    let workload = config.workloads.at(info.peer.ip()).map(|w| &**w);
    let client = own_client(info, &pod, workload);
    drop(config);
    let connection = OutboundConnection {
        info,
        dialer: dialer(&pod),
        pod,
        client,
        path,
        drain,
    };
    connection.carry(io, listener, record).await;
}

/// The pod itself: known by the namespace that it connects from, whatever its source address.
fn own_client(
    info: ConnectionInfo,
    pod: &PodConfig,
    workload: Option<&heddle_config::Workload>,
) -> Client {
    let workload = workload.filter(|workload| workload.name == pod.name);
    let mut client = Client::new(info.peer, workload, Some(pod.identity.clone()));
    client.pod = Some(pod.name.to_string().into());
    client.namespace = pod.name.namespace.as_str().into();
    client
}

fn refuse<I: Accepted>(io: &I, record: TcpRecord, failure: &Failure) {
    io.abort_on_drop();
    record.refused(failure);
}

struct OutboundConnection<'a, D> {
    info: ConnectionInfo,
    pod: Arc<PodConfig>,
    client: Client,
    path: &'a DataPath,
    drain: &'a Drain,
    dialer: D,
}

impl<D: Dial> OutboundConnection<'_, D> {
    /// Each kind of connection is on the heap by itself: a connection takes the memory of its own kind, not of the largest.
    async fn carry<I: Accepted>(
        self,
        mut io: I,
        listener: Option<OutboundProtocol>,
        mut record: TcpRecord,
    ) {
        record.source(&self.client);
        match listener {
            Some(OutboundProtocol::Http { routes }) => {
                let settings = &self.path.settings.http;
                if let Some((version, start)) = version_of(&mut io, settings, self.drain).await {
                    Box::pin(self.http(io, routes, version, start, record)).await;
                }
            }
            Some(OutboundProtocol::Opaque { cluster }) => {
                record.service(&cluster);
                let connected = Box::pin(self.dialer.dial(Destination::Cluster(cluster))).await;
                Box::pin(self.bytes(io, connected, record)).await;
            }
            Some(OutboundProtocol::Detect { routes, cluster }) => {
                Box::pin(self.detect(io, routes, cluster, record)).await;
            }
            None => {
                let to = Destination::Address(self.info.original_destination);
                let connected = Box::pin(self.dialer.dial(to)).await;
                Box::pin(self.bytes(io, connected, record)).await;
            }
        }
    }

    async fn detect<I: Accepted>(
        self,
        mut io: I,
        routes: Arc<str>,
        cluster: ClusterName,
        mut record: TcpRecord,
    ) {
        let settings = &self.path.settings;
        let patience = Patience {
            silence: settings.detect_silence,
            beginning: settings.http.header_time,
        };
        let connect = self.dialer.dial(Destination::Cluster(Arc::clone(&cluster)));
        match detect(&mut io, connect, patience).await {
            Detected::Http(version, start) => {
                Box::pin(self.http(io, routes, version, start, record)).await;
            }
            Detected::Opaque {
                from_client,
                from_server,
                server,
            } => {
                record.service(&cluster);
                let server = server.map(|connected| Connected {
                    io: Box::new(Prefixed::new(from_server.freeze(), connected.io)),
                    target: connected.target,
                });
                let io = Prefixed::new(from_client.freeze(), io);
                Box::pin(self.bytes(io, server, record)).await;
            }
        }
    }

    async fn bytes<I: Accepted>(
        self,
        io: I,
        connected: Result<Connected, Failure>,
        mut record: TcpRecord,
    ) {
        let admitted = connected.and_then(|connected| {
            let live = self.admit(&connected)?;
            Ok((connected, live))
        });
        match admitted {
            Ok((connected, live)) => {
                record.target(&connected.target);
                relay(io, connected.io, self.path, self.drain, Some(&live), record).await;
            }
            Err(failure) => refuse(&io, record, &failure),
        }
    }

    /// Asks the egress policy of this moment, and from now on whenever it changes.
    fn admit(&self, connected: &Connected) -> Result<LiveConnection, Failure> {
        let (name, uid) = (self.pod.name.clone(), self.pod.uid.clone());
        let (source, target) = (self.info.peer.ip(), connected.target.clone());
        let judge: Judge = Rc::new(move |config| {
            // A pod that is no longer configured is being removed; its connections end with it.
            match config.pods.get(&name).filter(|pod| pod.uid == uid) {
                Some(pod) => {
                    judge::departure(config, pod, source, target.address).map_err(|mut failure| {
                        failure.target = Some(target.clone());
                        failure
                    })
                }
                None => Ok(()),
            }
        });
        self.path.live.admit(&self.path.config.load(), judge)
    }

    async fn http<I: Accepted>(
        self,
        io: I,
        routes: Arc<str>,
        version: Version,
        start: BytesMut,
        mut record: TcpRecord,
    ) {
        let context = Rc::new(Outbound {
            config: Arc::clone(&self.path.config),
            routes,
            direction: Direction::Outbound,
            client: self.client,
            asked: self.info.original_destination,
            forward: self.dialer,
            tunnels: tunnels(self.path.clone(), self.drain.clone(), None),
            metrics: Arc::clone(&self.path.metrics),
        });
        let service = move |request| outbound(Rc::clone(&context), request);
        let server = HttpServer {
            settings: &self.path.settings.http,
            drain: self.drain,
            live: None,
        };
        record.protocol(protocol(version));
        if let Some(problem) = server.serve(io, (version, start), service).await {
            record.broken(problem);
        }
    }
}

pub(crate) fn protocol(version: Version) -> Protocol {
    match version {
        Version::Http1 => Protocol::Http1,
        Version::Http2 => Protocol::Http2,
    }
}
