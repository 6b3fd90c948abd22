//! What the control plane counts.

use std::{
    collections::BTreeSet,
    sync::{OnceLock, atomic::Ordering},
};

use heddle_issuer::Outcome;
use heddle_resources::Kind;
use heddle_xds_server::Connections;
use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The control plane's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    /// Rounds of the pipeline.
    pub(crate) rounds: Counter,
    /// Resources that were encoded anew.
    pub(crate) encoded: Counter,
    /// From an update taken to its snapshot published, in seconds.
    pub(crate) seconds: Histogram,
    /// Problems at present.
    pub(crate) problems: Gauge,
    /// Open streams.
    pub(crate) streams: Gauge,
    /// Whether each kind of objects can be read.
    kinds: Family<[(&'static str, &'static str); 1], Gauge>,
    /// Requests for certificates, by what became of them.
    certificates: Family<[(&'static str, &'static str); 1], Counter>,
    /// Where connections are counted, once there are any.
    connections: OnceLock<Connections>,
    open_connections: Gauge,
    /// Connections that were not let in or closed, by reason; taken over from where they are counted.
    ended_connections: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let buckets = [
            0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
        ];
        let (rounds, encoded) = (Counter::default(), Counter::default());
        let (problems, streams) = (Gauge::default(), Gauge::default());
        let seconds = Histogram::new(buckets);
        let mut registry = Registry::with_prefix("heddle_control_plane");
        registry.register("rounds", "Rounds of resolve and translate", rounds.clone());
        registry.register(
            "resources_encoded",
            "xDS resources encoded anew",
            encoded.clone(),
        );
        registry.register("round_seconds", "Duration of a round", seconds.clone());
        registry.register(
            "problems",
            "Problems in the objects at present",
            problems.clone(),
        );
        registry.register("xds_streams", "Open xDS streams", streams.clone());
        let kinds = Family::<_, Gauge>::default();
        registry.register(
            "source_kind_available",
            "Whether objects of the kind can be read at present (1) or not (0)",
            kinds.clone(),
        );
        let (open_connections, ended_connections) = (Gauge::default(), Family::default());
        registry.register(
            "connections",
            "Open connections to the port of xDS and certificates",
            open_connections.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections that were refused or closed since the start, by reason: of one peer too many, in total too many, no stream for too long",
            ended_connections.clone(),
        );
        let certificates = Family::default();
        registry.register(
            "certificate_requests",
            "Requests for certificates",
            certificates.clone(),
        );
        Self {
            registry,
            rounds,
            encoded,
            seconds,
            problems,
            streams,
            kinds,
            certificates,
            connections: OnceLock::new(),
            open_connections,
            ended_connections,
        }
    }

    /// Notes which kinds cannot be read.
    pub(crate) fn unavailable(&self, kinds: &BTreeSet<Kind>) {
        for kind in Kind::ALL {
            let gauge = self.kinds.get_or_create(&[("kind", kind.as_str())]);
            gauge.set(i64::from(!kinds.contains(kind)));
        }
    }

    /// Counts a request for a certificate.
    pub(crate) fn certificate(&self, outcome: Outcome) {
        let word = match outcome {
            Outcome::Signed => "signed",
            Outcome::Unauthenticated => "unauthenticated",
            Outcome::TooMany => "too_many",
            Outcome::NotPermitted => "not_permitted",
            Outcome::Invalid => "invalid",
            Outcome::Failed => "failed",
        };
        self.certificates.get_or_create(&[("outcome", word)]).inc();
    }

    /// Tells where connections are counted.
    pub(crate) fn connections(&self, connections: Connections) {
        // There is only one port.
        let _ = self.connections.set(connections);
    }

    fn count_connections(&self) {
        let counts = self.connections.get().map(Connections::counts);
        let counts = counts.unwrap_or_default();
        let open = i64::try_from(counts.open).unwrap_or(i64::MAX);
        self.open_connections.set(open);
        for (reason, count) in [
            ("peer", counts.refused_by_peer),
            ("total", counts.refused_by_total),
            ("no_stream", counts.without_stream),
        ] {
            let ended = self.ended_connections.get_or_create(&[("reason", reason)]);
            ended.inner().store(count, Ordering::Relaxed);
        }
    }

    /// In the OpenMetrics text format.
    pub(crate) fn text(&self) -> String {
        self.count_connections();
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
