//! Counters, gauges and histograms of the data path.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use crate::{
    DenialLabels, Direction, Label, RequestLabels, ResponseFlag, TcpLabels,
    handles::{RequestCache, RequestHandles},
    labels::{DirectionSeries, DurationSeries, Flag, RequestSeries, TcpEndSeries, TcpSeries},
    series::BoundedFamily,
};

/// How many series one family of requests may have. More are counted in its overflow series.
pub const MAX_SERIES: usize = 20_000;

/// Upper bounds in seconds, as OpenTelemetry advises for `http.server.request.duration` (semantic conventions, HTTP).
const DURATION_BUCKETS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];

fn duration_histogram() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

/// All metrics of one proxy; shared by its workers.
pub struct Metrics {
    registry: Mutex<Registry>,
    tcp_opened: Family<TcpSeries, Counter>,
    tcp_closed: Family<TcpEndSeries, Counter>,
    tcp_failed: Family<TcpEndSeries, Counter>,
    tcp_received: Family<TcpSeries, Counter>,
    tcp_sent: Family<TcpSeries, Counter>,
    tcp_active: Family<DirectionSeries, Gauge>,
    requests: BoundedFamily<RequestSeries, Counter>,
    durations: BoundedFamily<DurationSeries, Histogram>,
    request_cache: RequestCache,
    denials: BoundedFamily<DenialLabels, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(MAX_SERIES)
    }
}

impl Metrics {
    /// Registers everything. `max_series` bounds each family whose labels come from traffic or from users' objects.
    pub fn new(max_series: usize) -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::default()),
            tcp_opened: Family::default(),
            tcp_closed: Family::default(),
            tcp_failed: Family::default(),
            tcp_received: Family::default(),
            tcp_sent: Family::default(),
            tcp_active: Family::default(),
            requests: BoundedFamily::new(Counter::default, max_series, overflow_request()),
            durations: BoundedFamily::new(duration_histogram, max_series, overflow_duration()),
            request_cache: RequestCache::new(),
            denials: BoundedFamily::new(Counter::default, max_series, overflow_denial()),
        };
        metrics.register_tcp();
        metrics.register_http();
        metrics
    }

    fn register_tcp(&self) {
        self.register(
            "heddle_tcp_connections_opened",
            "TCP connections that were taken, let through and connected to where they go",
            self.tcp_opened.clone(),
        );
        self.register(
            "heddle_tcp_connections_closed",
            "TCP connections that were opened and have ended; flag is - if they ended well",
            self.tcp_closed.clone(),
        );
        self.register(
            "heddle_tcp_connections_failed",
            "TCP connections that were refused or could not be connected to where they go",
            self.tcp_failed.clone(),
        );
        self.register(
            "heddle_tcp_received_bytes",
            "Bytes taken from clients on connections that were not read as HTTP",
            self.tcp_received.clone(),
        );
        self.register(
            "heddle_tcp_sent_bytes",
            "Bytes given to clients on connections that were not read as HTTP",
            self.tcp_sent.clone(),
        );
        self.register(
            "heddle_tcp_connections_active",
            "Connections from clients that are open now",
            self.tcp_active.clone(),
        );
    }

    fn register_http(&self) {
        self.register(
            "heddle_http_requests",
            "HTTP requests that were answered, or given up by their client (code 0)",
            self.requests.family(),
        );
        self.register(
            "heddle_http_request_duration_seconds",
            "Time from a request's head to the end of its answer",
            self.durations.family(),
        );
        self.register(
            "heddle_policy_denials",
            "Connections and requests that a policy did not allow",
            self.denials.family(),
        );
    }

    /// Adds a metric of somebody else's. Counters get the suffix `_total` by themselves.
    pub fn register(&self, name: &str, help: &str, metric: impl Metric) {
        self.lock().register(name, help, metric);
    }

    /// Everything, in the OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail; a metric that refuses to be written is left out.
        if let Err(error) = text::encode(&mut out, &self.lock()) {
            tracing::warn!(%error, "metrics are incomplete");
        }
        out
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Registry> {
        // Nobody panics in between, and if so the registry would still be whole.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection from a client is there; it counts as active until the value is dropped.
    pub fn connection(&self, direction: Direction) -> ActiveConnection {
        let gauge = self
            .tcp_active
            .get_or_create_owned(&DirectionSeries { direction });
        gauge.inc();
        ActiveConnection(gauge)
    }

    /// A connection was let through and connected.
    pub fn tcp_opened(&self, labels: TcpLabels) {
        self.tcp_opened.get_or_create_owned(&tcp(labels)).inc();
    }

    /// A connection that was opened has ended.
    pub fn tcp_closed(
        &self,
        labels: TcpLabels,
        flag: Option<ResponseFlag>,
        received: u64,
        sent: u64,
    ) {
        self.tcp_closed
            .get_or_create_owned(&tcp_end(labels, flag))
            .inc();
        self.tcp_received
            .get_or_create_owned(&tcp(labels))
            .inc_by(received);
        self.tcp_sent.get_or_create_owned(&tcp(labels)).inc_by(sent);
    }

    /// A connection was refused, or could not be connected.
    pub fn tcp_failed(&self, labels: TcpLabels, flag: ResponseFlag) {
        self.tcp_failed
            .get_or_create_owned(&tcp_end(labels, Some(flag)))
            .inc();
    }

    /// A request has ended.
    pub fn request(&self, labels: &RequestLabels, duration: Duration) {
        let find = || RequestHandles {
            count: self.requests.series(&labels.into()),
            duration: self.durations.series(&labels.into()),
        };
        self.request_cache.with(labels, find, |handles| {
            handles.count.inc();
            handles.duration.observe(duration.as_secs_f64());
        });
    }

    /// A policy has refused something.
    pub fn denied(&self, labels: &DenialLabels) {
        self.denials.series(labels).inc();
    }
}

/// A connection that counts as active until this is dropped.
#[derive(Debug)]
pub struct ActiveConnection(Gauge);

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn tcp(labels: TcpLabels) -> TcpSeries {
    TcpSeries {
        direction: labels.direction,
        mtls: labels.mtls,
    }
}

fn tcp_end(labels: TcpLabels, flag: Option<ResponseFlag>) -> TcpEndSeries {
    TcpEndSeries {
        direction: labels.direction,
        mtls: labels.mtls,
        flag: Flag(flag),
    }
}

fn overflow_request() -> RequestSeries {
    let overflow = || Label::from("overflow");
    RequestSeries {
        reporter: "overflow",
        source_workload: overflow(),
        source_namespace: overflow(),
        destination_service: overflow(),
        destination_workload: overflow(),
        destination_namespace: overflow(),
        route: overflow(),
        code: 0,
        flag: Flag(None),
        mtls: false,
    }
}

fn overflow_duration() -> DurationSeries {
    let overflow = || Label::from("overflow");
    DurationSeries {
        reporter: "overflow",
        source_namespace: overflow(),
        source_workload: overflow(),
        destination_service: overflow(),
        destination_namespace: overflow(),
        destination_workload: overflow(),
        route: overflow(),
    }
}

fn overflow_denial() -> DenialLabels {
    DenialLabels {
        policy: Label::from("overflow"),
        direction: Direction::Outbound,
    }
}
