//! The record of one connection of bytes: written to the log and counted exactly once.

use std::{net::SocketAddr, sync::Arc};

use heddle_config::PodConfig;
use heddle_filters::{Client, Failure};
use heddle_hbone::CopyCounts;
use heddle_telemetry::{
    AccessLog, DenialLabels, Direction, Label, Metrics, PeerName, Protocol, ResponseFlag, TcpLabels,
};
use heddle_upstream::Target;
use tokio::time::Instant;

use crate::ConnectionInfo;

/// One connection and what became of it.
pub(crate) struct TcpRecord {
    entry: AccessLog,
    started: Instant,
    metrics: Arc<Metrics>,
}

impl TcpRecord {
    pub(crate) fn begin(
        direction: Direction,
        info: ConnectionInfo,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let mut entry = AccessLog::new(direction, Protocol::Tcp);
        entry.source.address = Some(info.peer);
        entry.destination.address = Some(info.original_destination);
        Self {
            entry,
            started: Instant::now(),
            metrics: Arc::clone(metrics),
        }
    }

    pub(crate) fn protocol(&mut self, protocol: Protocol) {
        self.entry.protocol = protocol;
    }

    pub(crate) fn source(&mut self, client: &Client) {
        self.entry.source = client.peer_name();
    }

    pub(crate) fn service(&mut self, cluster: &Arc<str>) {
        self.entry.service = Some(Arc::clone(cluster));
    }

    pub(crate) fn mtls(&mut self, mtls: bool) {
        self.entry.mtls = mtls;
    }

    /// The receiving pod of this node.
    pub(crate) fn destination_pod(&mut self, pod: &PodConfig, address: SocketAddr) {
        self.entry.destination = PeerName {
            address: Some(address),
            pod: Some(pod.name.to_string().into()),
            identity: Some(pod.identity.clone()),
        };
    }

    /// The endpoint that was chosen.
    pub(crate) fn target(&mut self, target: &Target) {
        let workload = target.workload.as_deref();
        let mut peer = Client::new(target.address, workload, None).peer_name();
        peer.identity = workload
            .filter(|_| target.mtls)
            .map(|workload| workload.identity.clone());
        self.entry.destination = peer;
        self.entry.mtls = target.mtls;
        self.entry.attempts = 1;
    }

    /// It was not let through, or could not be connected.
    pub(crate) fn refused(mut self, failure: &Failure) {
        if let Some(target) = &failure.target {
            self.target(target);
        }
        self.count_denials(failure);
        self.metrics.tcp_failed(self.labels(), failure.flag);
        self.entry.flag = Some(failure.flag);
        self.entry.reason = Some(failure.reason.clone());
        self.write();
    }

    /// Bytes flow.
    pub(crate) fn opened(&self) {
        self.metrics.tcp_opened(self.labels());
    }

    /// It has ended; after [`Self::opened`] only.
    pub(crate) fn ended(mut self, counts: &CopyCounts, problem: Option<Problem>) {
        self.entry.received = counts.from_client();
        self.entry.sent = counts.from_server();
        let flag = problem.as_ref().map(|problem| problem.flag);
        if let Some(problem) = problem {
            for policy in &problem.policies {
                self.count_denial(policy);
            }
            self.entry.reason = Some(problem.reason);
        }
        self.entry.flag = flag;
        self.metrics
            .tcp_closed(self.labels(), flag, self.entry.received, self.entry.sent);
        self.write();
    }

    /// A connection of requests broke the rules, or was ended: the requests have their own records.
    pub(crate) fn broken(mut self, problem: Problem) {
        for policy in &problem.policies {
            self.count_denial(policy);
        }
        self.metrics.tcp_failed(self.labels(), problem.flag);
        self.entry.flag = Some(problem.flag);
        self.entry.reason = Some(problem.reason);
        self.write();
    }

    fn count_denials(&self, failure: &Failure) {
        for policy in &failure.policies {
            self.count_denial(policy);
        }
    }

    fn count_denial(&self, policy: &Arc<str>) {
        self.metrics.denied(&DenialLabels {
            policy: Label::new(policy),
            direction: self.entry.direction,
        });
    }

    fn labels(&self) -> TcpLabels {
        TcpLabels {
            direction: self.entry.direction,
            mtls: self.entry.mtls,
        }
    }

    fn write(&mut self) {
        self.entry.duration = self.started.elapsed();
        self.entry.log();
    }
}

/// Why an open connection ended otherwise than by both ends' will.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) flag: ResponseFlag,
    pub(crate) reason: String,
    pub(crate) policies: Vec<Arc<str>>,
}

impl Problem {
    pub(crate) fn new(flag: ResponseFlag, reason: impl Into<String>) -> Self {
        Self {
            flag,
            reason: reason.into(),
            policies: Vec::new(),
        }
    }

    /// A policy that came later refuses what is open.
    pub(crate) fn revoked(failure: Failure) -> Self {
        Self {
            flag: ResponseFlag::PolicyChanged,
            reason: failure.reason,
            policies: failure.policies,
        }
    }

    /// The drain's time is over.
    pub(crate) fn drained() -> Self {
        Self::new(
            ResponseFlag::Draining,
            "the proxy shuts down and the time for open connections is over",
        )
    }
}
