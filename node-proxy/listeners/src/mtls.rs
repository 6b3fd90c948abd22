//! Connections that a pod receives by mutual TLS (HBONE, port 15008).

use std::{io, net::TcpListener, rc::Rc};

use heddle_cert_client::{Certificates, peer_identity};
use heddle_config::ProxyConfig;
use heddle_filters::Failure;
use heddle_hbone::{
    Seldom,
    server::{self, Request},
};
use heddle_identity::SpiffeId;
use heddle_telemetry::{Direction, ResponseFlag};
use heddle_tls::TlsStream;
use http::StatusCode;
use tokio::{io::AsyncRead, io::AsyncWrite, net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    Accepted, ConnectionInfo, DataPath, PodContext, Worker,
    accept::{Door, Drain, too_many},
    application::{LastLeg, PodLeg},
    data_path::pod_of,
    inbound::{Arrived, Refused},
    judge::Arrival,
    record::TcpRecord,
};

/// Takes the mutual TLS connections to a pod (port 15008 in its namespace), until `shutdown` and the drain after it.
///
/// # Errors
/// The listener cannot be used on this runtime.
pub async fn serve_mtls(
    listener: TcpListener,
    pod: PodContext,
    worker: Worker,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let legs = PodLeg::new(&pod, &worker.path.settings);
    let door = Door::of_pod(Direction::Inbound, &pod, &worker.path);
    let handle = |stream: TcpStream, info, drain| {
        let (pod, worker, legs) = (pod.clone(), worker.clone(), legs.clone());
        async move {
            let path = &worker.path;
            take(stream, info, &pod, path, &worker.certificates, &drain, legs).await;
        }
    };
    door.serve(listener, shutdown, handle).await
}

/// Takes one connection: proves who it is, then serves its streams.
pub(crate) async fn take<I, L>(
    io: I,
    info: ConnectionInfo,
    pod: &PodContext,
    path: &DataPath,
    certificates: &Certificates,
    drain: &Drain,
    legs: L,
) where
    I: Accepted,
    L: LastLeg,
{
    let mut record = TcpRecord::begin(Direction::Inbound, info, &path.metrics);
    record.mtls(true);
    // On the heap: it is over long before the connection is.
    let proving = Box::pin(prove(io, info, pod, path, certificates));
    let proving = timeout(path.settings.handshake_timeout, proving);
    let proven = proving
        .await
        .unwrap_or_else(|_| Err(tls("the handshake took too long")));
    match proven {
        Ok((io, identity)) => {
            let peer = Peer {
                info,
                identity,
                pod: pod.clone(),
                path: path.clone(),
                drain: drain.clone(),
                legs,
            };
            Rc::new(peer).serve(io).await;
        }
        Err(failure) => record.refused(&failure),
    }
}

fn tls(reason: impl Into<String>) -> Failure {
    Failure::new(ResponseFlag::TlsFailure, reason)
}

/// The TLS handshake, and whether the identity fits the address.
async fn prove<I: Accepted>(
    io: I,
    info: ConnectionInfo,
    pod: &PodContext,
    path: &DataPath,
    certificates: &Certificates,
) -> Result<(TlsStream<I>, SpiffeId), Failure> {
    let own = {
        let config = path.config.load();
        pod_of(&config, pod)?.identity.clone()
    };
    let settings = certificates
        .server_config(&own)
        .await
        .map_err(|error| Failure::new(ResponseFlag::IdentityUnavailable, error.to_string()))?;
    // Taken only now: whoever waits for a certificate must not keep the handshakes of others waiting.
    let _permit = pod
        .handshakes
        .acquire()
        .await
        .map_err(|error| tls(error.to_string()))?;
    let established = heddle_tls::accept(settings, io)
        .await
        .map_err(|error| tls(format!("handshake: {error}")))?;
    let identity = peer_identity(&established.peer).map_err(|error| tls(error.to_string()))?;
    fits_address(&path.config.load(), info, &identity)?;
    Ok((established.stream, identity))
}

/// A stolen certificate is worth nothing at another pod's address. Addresses of which nothing is known, and those that several
/// share, say nothing.
fn fits_address(
    config: &ProxyConfig,
    info: ConnectionInfo,
    identity: &SpiffeId,
) -> Result<(), Failure> {
    let workload = config
        .workloads
        .at(info.peer.ip())
        .filter(|workload| !workload.host_network);
    match workload {
        Some(workload) if workload.identity != *identity => Err(Failure::new(
            ResponseFlag::IdentityMismatch,
            format!(
                "{} presents {identity}, but {} there is {}",
                info.peer.ip(),
                workload.name,
                workload.identity
            ),
        )),
        _ => Ok(()),
    }
}

/// A proven peer.
struct Peer<L> {
    info: ConnectionInfo,
    identity: SpiffeId,
    pod: PodContext,
    path: DataPath,
    drain: Drain,
    legs: L,
}

impl<L: LastLeg> Peer<L> {
    async fn serve<T>(self: Rc<Self>, io: T)
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let drain = self.drain.clone();
        let settings = self.path.settings.hbone;
        let begun = drain.begun.clone().cancelled_owned();
        let over = Seldom::new(drain.over.cancelled());
        let on_request = |request: Request| {
            let peer = Rc::clone(&self);
            drain.spawn(async move { peer.take_stream(request).await });
        };
        tokio::select! {
            result = server::serve(io, settings, begun, on_request) => {
                if let Err(error) = result {
                    tracing::debug!(peer = %self.info.peer, %error, "HBONE connection broke");
                }
            }
            () = over => {}
        }
    }

    /// One CONNECT: the authority is where the client's connection is for.
    async fn take_stream(&self, mut request: Request) {
        let info = ConnectionInfo::new(self.info.peer, request.authority);
        let record = TcpRecord::begin(Direction::Inbound, info, &self.path.metrics);
        let identity = Some(self.identity.clone());
        let arrival = Arrival::new(info, identity, self.path.is_of_this_node(info.peer.ip()));
        let Ok(_permit) = self.pod.connections.try_acquire() else {
            request.refuse(StatusCode::SERVICE_UNAVAILABLE);
            return record.refused(&too_many());
        };
        let _active = self.path.metrics.connection(Direction::Inbound);
        let arrived = match Arrived::admit(arrival, &self.pod, &self.path, record) {
            Ok(arrived) => arrived,
            Err(refused) => {
                let Refused { failure, record } = *refused;
                request.refuse(status_of(failure.flag));
                return record.refused(&failure);
            }
        };
        let connected = tokio::select! {
            connected = Box::pin(arrived.connect(&self.legs)) => connected,
            () = request.abandoned() => Err(Failure::new(
                ResponseFlag::ClientTermination,
                "the client gave up while the application was being connected",
            )),
        };
        match connected {
            Ok(application) => Box::pin(self.carry(request, arrived, application)).await,
            Err(failure) => {
                request.refuse(status_of(failure.flag));
                arrived.refuse(&failure);
            }
        }
    }

    async fn carry(&self, request: Request, arrived: Arrived, application: L::Io) {
        match request.accept() {
            Ok(stream) => {
                let legs = self.legs.clone();
                arrived
                    .carry(stream, application, &self.path, &self.drain, legs)
                    .await;
            }
            Err(error) => arrived.refuse(&Failure::new(
                ResponseFlag::ClientTermination,
                error.to_string(),
            )),
        }
    }
}

/// What a client's proxy is told: 400 and 403 mean that another endpoint would say the same, 503 that it may be asked.
fn status_of(flag: ResponseFlag) -> StatusCode {
    match flag {
        ResponseFlag::NotThisPod => StatusCode::BAD_REQUEST,
        ResponseFlag::OwnPort | ResponseFlag::NetworkPolicy | ResponseFlag::Authorization => {
            StatusCode::FORBIDDEN
        }
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}
