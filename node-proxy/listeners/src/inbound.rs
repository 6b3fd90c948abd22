//! Connections that a pod receives: in plain text (15006), and what they have in common with those by mutual TLS.

use std::{cell::RefCell, io, net::TcpListener, rc::Rc, sync::Arc};

use heddle_config::{InboundHttp, PodConfig};
use heddle_filters::{AppConnection, Client, Failure, Inbound, inbound};
use heddle_telemetry::{Direction, ResponseFlag};
use tokio_util::sync::CancellationToken;

use crate::{
    Accepted, ConnectionInfo, DataPath, PodContext, Worker,
    accept::{Door, Drain},
    application::{LastLeg, Leg, PodLeg},
    data_path::pod_of,
    http::{HttpServer, version_of},
    judge::{self, Arrival},
    live::{Judge, LiveConnection},
    outbound::protocol,
    record::TcpRecord,
    relay::{relay, tunnels},
};

/// Takes the plain text connections to a pod (port 15006 in its namespace), until `shutdown` and the drain after it.
///
/// # Errors
/// The listener cannot be used on this runtime.
pub async fn serve_inbound(
    listener: TcpListener,
    pod: PodContext,
    worker: Worker,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let path = worker.path;
    let legs = PodLeg::new(&pod, &path.settings);
    let door = Door::of_pod(Direction::Inbound, &pod, &path);
    let handle = |stream, info, drain| {
        let (pod, path, legs) = (pod.clone(), path.clone(), legs.clone());
        async move { take(stream, info, &pod, &path, &drain, legs).await }
    };
    door.serve(listener, shutdown, handle).await
}

/// Takes one plain text connection.
pub(crate) async fn take<I, L>(
    io: I,
    info: ConnectionInfo,
    pod: &PodContext,
    path: &DataPath,
    drain: &Drain,
    legs: L,
) where
    I: Accepted,
    L: LastLeg,
{
    let record = TcpRecord::begin(Direction::Inbound, info, &path.metrics);
    let arrival = Arrival::new(info, None, path.is_of_this_node(info.peer.ip()));
    match Arrived::admit(arrival, pod, path, record) {
        Ok(arrived) => arrived.plain(io, path, drain, legs).await,
        Err(refused) => {
            io.abort_on_drop();
            refused.record.refused(&refused.failure);
        }
    }
}

/// A connection that a pod receives and that its policies let in.
pub(crate) struct Arrived {
    arrival: Arrival,
    pod: Arc<PodConfig>,
    client: Client,
    live: Rc<LiveConnection>,
    record: TcpRecord,
}

/// A connection that was not let in.
pub(crate) struct Refused {
    pub(crate) failure: Failure,
    pub(crate) record: TcpRecord,
}

impl Arrived {
    /// Asks the pod's policies of this moment, and from now on whenever they change.
    pub(crate) fn admit(
        arrival: Arrival,
        pod: &PodContext,
        path: &DataPath,
        mut record: TcpRecord,
    ) -> Result<Self, Box<Refused>> {
        let config = path.config.load();
        let workload = config.workloads.at(arrival.source.ip()).map(|w| &**w);
        let client = Client::new(arrival.source, workload, arrival.identity.clone());
        record.source(&client);
        record.mtls(arrival.identity.is_some());
        let known = pod_of(&config, pod).and_then(|known| {
            record.destination_pod(known, arrival.destination);
            judge::is_for(known, arrival.destination)?;
            judge::not_own_port(known, arrival.destination)?;
            Ok(Arc::clone(known))
        });
        let admitted = known.and_then(|known| {
            let live = path.live.admit(&config, judge(&known, arrival.clone()))?;
            Ok((known, live))
        });
        match admitted {
            Ok((pod, live)) => Ok(Self {
                arrival,
                pod,
                client,
                live: Rc::new(live),
                record,
            }),
            Err(failure) => Err(Box::new(Refused { failure, record })),
        }
    }

    pub(crate) fn refuse(self, failure: &Failure) {
        self.record.refused(failure);
    }

    /// Carries a plain text connection.
    async fn plain<I: Accepted, L: LastLeg>(self, io: I, path: &DataPath, drain: &Drain, legs: L) {
        if self.http_port().is_some() {
            return Box::pin(self.http(io, None, path, drain, legs)).await;
        }
        match Box::pin(self.connect(&legs)).await {
            Ok(application) => Box::pin(self.bytes(io, application, path, drain)).await,
            Err(failure) => {
                io.abort_on_drop();
                self.refuse(&failure);
            }
        }
    }

    /// Connects to the application with the client's address.
    pub(crate) async fn connect<L: LastLeg>(&self, legs: &L) -> Result<L::Io, Failure> {
        legs.connect(self.arrival.destination, self.arrival.source)
            .await
            .map_err(|error| {
                Failure::new(
                    ResponseFlag::ConnectFailure,
                    format!("the application cannot be reached: {error}"),
                )
            })
    }

    /// Carries a connection whose application is connected.
    pub(crate) async fn carry<I: Accepted, L: LastLeg>(
        self,
        io: I,
        application: L::Io,
        path: &DataPath,
        drain: &Drain,
        legs: L,
    ) {
        if self.http_port().is_some() {
            Box::pin(self.http(io, Some(application), path, drain, legs)).await;
        } else {
            Box::pin(self.bytes(io, application, path, drain)).await;
        }
    }

    fn http_port(&self) -> Option<InboundHttp> {
        let port = self.arrival.destination.port();
        self.pod.http_ports.get(&port).copied()
    }

    async fn bytes<I, S>(self, io: I, application: S, path: &DataPath, drain: &Drain)
    where
        I: Accepted,
        S: heddle_hbone::ByteStream,
    {
        relay(io, application, path, drain, Some(&self.live), self.record).await;
    }

    async fn http<I: Accepted, L: LastLeg>(
        mut self,
        mut io: I,
        application: Option<L::Io>,
        path: &DataPath,
        drain: &Drain,
        legs: L,
    ) {
        let settings = &path.settings.http;
        let Some((version, start)) = version_of(&mut io, settings, drain).await else {
            return;
        };
        let http = self.http_port();
        let context = Rc::new(Inbound {
            config: Arc::clone(&path.config),
            pod: self.pod.name.clone(),
            uid: self.pod.uid.clone(),
            client: self.client,
            destination: self.arrival.destination,
            mtls: self.arrival.identity.is_some(),
            exempt: self.arrival.is_probe(),
            forward_identity: http.is_some_and(|http| http.forward_identity),
            application: AppConnection::new(Leg {
                legs,
                destination: self.arrival.destination,
                client: self.arrival.source,
                ready: RefCell::new(application),
            }),
            tunnels: tunnels(path.clone(), drain.clone(), Some(Rc::clone(&self.live))),
            metrics: Arc::clone(&path.metrics),
        });
        let service = move |request| {
            let context = Rc::clone(&context);
            async move { inbound(&context, request).await }
        };
        let server = HttpServer {
            settings,
            drain,
            live: Some(&self.live),
        };
        self.record.protocol(protocol(version));
        if let Some(problem) = server.serve(io, (version, start), service).await {
            self.record.broken(problem);
        }
    }
}

fn judge(pod: &PodConfig, arrival: Arrival) -> Judge {
    let (name, uid) = (pod.name.clone(), pod.uid.clone());
    Rc::new(move |config| {
        // A pod that is no longer configured is being removed; its connections end with it.
        match config.pods.get(&name).filter(|pod| pod.uid == uid) {
            Some(pod) => judge::arrival(config, pod, &arrival),
            None => Ok(()),
        }
    })
}
