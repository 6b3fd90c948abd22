use std::{
    collections::BTreeSet,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use crate::*;

fn request(route: &str, code: u16) -> RequestLabels {
    RequestLabels {
        direction: Direction::Outbound,
        source_workload: "client".into(),
        source_namespace: "shop".into(),
        destination_service: "shop/cart:80".into(),
        destination_workload: Label::default(),
        destination_namespace: "shop".into(),
        route: route.into(),
        code,
        flag: None,
        mtls: true,
    }
}

fn lines<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.starts_with(name)).collect()
}

#[test]
fn every_flag_has_its_own_short_name_and_a_meaning() {
    let short: BTreeSet<_> = ResponseFlag::ALL.iter().map(|flag| flag.short()).collect();
    assert_eq!(short.len(), ResponseFlag::ALL.len());
    for flag in ResponseFlag::ALL {
        assert!(flag.meaning().ends_with('.'), "{flag}: {}", flag.meaning());
    }
    assert_eq!(ResponseFlag::NoHealthyEndpoint.to_string(), "UH");
}

#[test]
fn requests_are_counted_by_their_labels_and_timed() {
    let metrics = Metrics::default();
    metrics.request(&request("r", 200), Duration::from_millis(20));
    metrics.request(&request("r", 200), Duration::from_millis(20));
    metrics.request(&request("r", 503), Duration::from_secs(60));
    let text = metrics.encode();
    let counts = lines(&text, "heddle_http_requests_total{");
    assert_eq!(counts.len(), 2, "{text}");
    assert!(
        counts
            .iter()
            .any(|line| line.contains("reporter=\"source\"")
                && line.contains("destination_workload=\"unknown\"")
                && line.contains("code=\"200\"")
                && line.contains("flag=\"-\"")
                && line.contains("mtls=\"true\"")
                && line.ends_with(" 2"))
    );
    assert!(text.contains("le=\"0.025\""));
    let durations = lines(&text, "heddle_http_request_duration_seconds_count{");
    assert_eq!(durations.len(), 1);
    assert!(durations[0].ends_with(" 3"));
}

#[test]
fn threads_that_keep_their_own_handles_count_in_the_same_series() {
    let metrics = [Metrics::default(), Metrics::default()];
    let count = || {
        for _ in 0..10 {
            // Two sets of metrics in turn: the handles of one are never taken for the other's.
            for metrics in &metrics {
                metrics.request(&request("r", 200), Duration::ZERO);
            }
            metrics[1].request(&request("r", 200), Duration::ZERO);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(count);
        }
    });
    for (metrics, wanted) in metrics.iter().zip([" 40", " 80"]) {
        let text = metrics.encode();
        let counts = lines(&text, "heddle_http_requests_total{");
        assert_eq!(counts.len(), 1, "{text}");
        assert!(counts[0].ends_with(wanted), "{text}");
    }
}

#[test]
fn many_different_requests_are_all_counted() {
    let metrics = Metrics::default();
    for code in 0..10_000 {
        metrics.request(&request("r", code), Duration::ZERO);
    }
    for code in 0..10_000 {
        metrics.request(&request("r", code), Duration::ZERO);
    }
    let text = metrics.encode();
    let counts = lines(&text, "heddle_http_requests_total{");
    assert_eq!(counts.len(), 10_000);
    assert!(counts.iter().all(|line| line.ends_with(" 2")));
}

#[test]
fn series_beyond_the_limit_are_counted_together() {
    let metrics = Metrics::new(2);
    for route in ["a", "b", "c", "d"] {
        metrics.request(&request(route, 200), Duration::ZERO);
    }
    metrics.request(&request("a", 200), Duration::ZERO);
    let text = metrics.encode();
    let counts = lines(&text, "heddle_http_requests_total{");
    assert_eq!(counts.len(), 3, "{text}");
    let value = |route: &str| {
        counts
            .iter()
            .find(|line| line.contains(&format!("route=\"{route}\"")))
            .and_then(|line| line.rsplit(' ').next())
    };
    assert_eq!(value("a"), Some("2"));
    assert_eq!(value("b"), Some("1"));
    assert_eq!(value("overflow"), Some("2"));
}

#[test]
fn a_connection_is_active_until_it_is_dropped_and_its_bytes_are_counted() {
    let metrics = Metrics::default();
    let labels = TcpLabels {
        direction: Direction::Inbound,
        mtls: true,
    };
    let active = metrics.connection(Direction::Inbound);
    metrics.tcp_opened(labels);
    assert!(
        metrics
            .encode()
            .contains("heddle_tcp_connections_active{direction=\"inbound\"} 1")
    );
    drop(active);
    metrics.tcp_closed(labels, Some(ResponseFlag::PolicyChanged), 3, 4);
    metrics.tcp_failed(labels, ResponseFlag::NetworkPolicy);
    metrics.denied(&DenialLabels {
        policy: "NetworkPolicy shop/cart".into(),
        direction: Direction::Inbound,
    });
    let text = metrics.encode();
    for line in [
        "heddle_tcp_connections_active{direction=\"inbound\"} 0",
        "heddle_tcp_connections_opened_total{direction=\"inbound\",mtls=\"true\"} 1",
        "heddle_tcp_connections_closed_total{direction=\"inbound\",mtls=\"true\",flag=\"POLICYCHANGED\"} 1",
        "heddle_tcp_connections_failed_total{direction=\"inbound\",mtls=\"true\",flag=\"NETPOL\"} 1",
        "heddle_tcp_received_bytes_total{direction=\"inbound\",mtls=\"true\"} 3",
        "heddle_tcp_sent_bytes_total{direction=\"inbound\",mtls=\"true\"} 4",
        "heddle_policy_denials_total{policy=\"NetworkPolicy shop/cart\",direction=\"inbound\"} 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

/// Keeps `name=value` of every event's fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{}={value:?} ", field.name());
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "access"
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(String::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[test]
fn an_access_log_line_names_the_reason_and_leaves_out_what_is_not_known() {
    let lines = Lines::default();
    let mut entry = AccessLog::new(Direction::Inbound, Protocol::Tcp);
    entry.source.address = Some("10.0.0.1:4000".parse().unwrap());
    entry.flag = Some(ResponseFlag::NetworkPolicy);
    entry.reason = Some("not allowed by NetworkPolicy shop/cart".to_owned());
    tracing::subscriber::with_default(lines.clone(), || entry.log());
    let lines = lines.0.lock().unwrap();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("src=10.0.0.1:4000 "));
    assert!(lines[0].contains("flag=\"NETPOL\" "));
    assert!(lines[0].contains("reason=\"not allowed by NetworkPolicy shop/cart\" "));
    assert!(!lines[0].contains("status="), "{}", lines[0]);
}
