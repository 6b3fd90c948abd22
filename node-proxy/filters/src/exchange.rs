//! The record of one request: written to the log and counted exactly once, however it ends.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use heddle_routing::Route;
use heddle_telemetry::{
    AccessLog, DenialLabels, Direction, Label, Metrics, PeerName, Protocol, RequestLabels,
    ResponseFlag,
};
use heddle_upstream::Target;
use http::{StatusCode, Version, request::Parts};
use http_body::Body as _;
use tokio::time::Instant;

use crate::{
    Body, Client, Failure,
    body::{Counted, boxed},
    forwarded,
};

/// One request and what became of it. Dropped before [`Exchange::finish`], it was given up by its client.
pub(crate) struct Exchange {
    pub(crate) entry: AccessLog,
    pub(crate) started: Instant,
    /// Bytes of the request's body; `None`: it has none.
    received: Option<Arc<AtomicU64>>,
    metrics: Arc<Metrics>,
    labels: RequestLabels,
    /// Somebody reads the access log.
    logged: bool,
    written: bool,
}

impl Exchange {
    pub(crate) fn begin(
        direction: Direction,
        client: &Client,
        metrics: Arc<Metrics>,
        parts: &Parts,
    ) -> Box<Self> {
        let protocol = if parts.version >= Version::HTTP_2 {
            Protocol::Http2
        } else {
            Protocol::Http1
        };
        let mut entry = AccessLog::new(direction, protocol);
        let logged = AccessLog::is_read();
        if logged {
            entry.source = client.peer_name();
            entry.path = Some(parts.uri.path().to_owned());
        }
        entry.method = Some(parts.method.clone());
        // On the heap, because it is handed on from the request to the answer's body.
        Box::new(Self {
            entry,
            started: Instant::now(),
            received: None,
            metrics,
            labels: labels(direction, client),
            logged,
            written: false,
        })
    }

    /// The host is settled, and who asks in which request.
    pub(crate) fn identified(&mut self, parts: &Parts) {
        if !self.logged {
            return;
        }
        self.entry.authority = parts.uri.authority().map(ToString::to_string);
        self.entry.request_id = parts
            .headers
            .get(forwarded::REQUEST_ID)
            .and_then(|id| id.to_str().ok())
            .map(ToOwned::to_owned);
    }

    /// Counts the bytes of the request's body, if it has one.
    pub(crate) fn count_received(&mut self, body: Body) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let count = self.received.get_or_insert_default();
        boxed(Counted::new(body, Arc::clone(count)))
    }

    pub(crate) fn routed(&mut self, route: &Route) {
        self.entry.route = self.logged.then(|| Arc::clone(&route.name));
        self.labels.route = Label::new(&route.name);
    }

    pub(crate) fn service(&mut self, cluster: &Arc<str>) {
        self.entry.service = self.logged.then(|| Arc::clone(cluster));
        self.labels.destination_service = Label::new(cluster);
    }

    /// Who serves it: known before, for requests to a pod of this node.
    pub(crate) fn destination(
        &mut self,
        destination: impl FnOnce() -> PeerName,
        workload: Label,
        namespace: Label,
    ) {
        if self.logged {
            self.entry.destination = destination();
        }
        self.labels.destination_workload = workload;
        self.labels.destination_namespace = namespace;
    }

    pub(crate) fn mtls(&mut self, mtls: bool) {
        self.entry.mtls = mtls;
        self.labels.mtls = mtls;
    }

    /// Who answered, or was asked in vain.
    pub(crate) fn target(&mut self, target: &Target) {
        let workload = target.workload.as_deref();
        let owner = workload.map(|there| Label::new(&there.owner));
        let namespace = workload.map(|there| Label::new(there.name.namespace.shared()));
        let named = || {
            let mut peer = Client::new(target.address, workload, None).peer_name();
            // Only mutual TLS proves who is there.
            peer.identity = workload
                .filter(|_| target.mtls)
                .map(|workload| workload.identity.clone());
            peer
        };
        self.destination(
            named,
            owner.unwrap_or_default(),
            namespace.unwrap_or_default(),
        );
        self.mtls(target.mtls);
    }

    pub(crate) fn status(&mut self, status: StatusCode) {
        self.entry.status = Some(status.as_u16());
    }

    /// Notes why it goes wrong; the first reason counts.
    pub(crate) fn fail(&mut self, flag: ResponseFlag, reason: impl Into<String>) {
        if self.entry.flag.is_none() {
            self.entry.flag = Some(flag);
            self.entry.reason = Some(reason.into());
        }
    }

    pub(crate) fn failure(&mut self, failure: &Failure) {
        self.fail(failure.flag, failure.reason.as_str());
        if let Some(target) = &failure.target {
            self.target(target);
        }
        for policy in &failure.policies {
            self.denied(policy);
        }
    }

    /// Counts a refusal by a policy.
    pub(crate) fn denied(&self, policy: &Arc<str>) {
        self.metrics.denied(&DenialLabels {
            policy: Label::new(policy),
            direction: self.entry.direction,
        });
    }

    /// It has ended as it should, or as noted.
    pub(crate) fn finish(&mut self) {
        if std::mem::replace(&mut self.written, true) {
            return;
        }
        self.entry.duration = self.started.elapsed();
        if let Some(received) = &self.received {
            self.entry.received += received.load(Ordering::Relaxed);
        }
        self.labels.code = self.entry.status.unwrap_or(0);
        self.labels.flag = self.entry.flag;
        self.metrics.request(&self.labels, self.entry.duration);
        if self.logged {
            self.entry.log();
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.written {
            self.fail(
                ResponseFlag::ClientTermination,
                "the client went away before the answer was complete",
            );
            self.finish();
        }
    }
}

fn labels(direction: Direction, client: &Client) -> RequestLabels {
    RequestLabels {
        direction,
        source_workload: client.workload.clone(),
        source_namespace: client.namespace.clone(),
        destination_service: Label::default(),
        destination_workload: Label::default(),
        destination_namespace: Label::default(),
        route: Label::default(),
        code: 0,
        flag: None,
        mtls: false,
    }
}
