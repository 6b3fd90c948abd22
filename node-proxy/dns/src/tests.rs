mod resolvers;
mod server;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use heddle_config::{
    Cluster, ClusterKind, DnsAnswer, DnsRecord, Endpoint, EndpointHealth, EndpointSet, ProxyConfig,
    UpstreamHttp,
};
use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RData, RecordType},
};
use proptest::prelude::*;

use crate::{Outcome, Zone, answer};

const DOMAIN: &str = "svc.cluster.local";

fn cluster(config: &mut ProxyConfig, name: &str, kind: ClusterKind) {
    let name: Arc<str> = name.into();
    let cluster = Cluster {
        name: Arc::clone(&name),
        kind,
        http: UpstreamHttp::AsClient,
        connect_timeout: Duration::from_secs(1),
        tls: heddle_config::ClusterTls::None,
    };
    config.clusters.insert(name, Arc::new(cluster));
}

fn headless(config: &mut ProxyConfig, service: &str, endpoints: &[(&str, Option<&str>)]) {
    let name = format!("{service}:5432");
    cluster(config, &name, ClusterKind::Eds(name.as_str().into()));
    let endpoints = endpoints
        .iter()
        .map(|(address, hostname)| Endpoint {
            address: SocketAddr::new(address.parse().unwrap(), 5432),
            health: EndpointHealth::Healthy,
            hostname: hostname.map(Into::into),
            weight: 1,
        })
        .collect();
    let set = Arc::new(EndpointSet { endpoints });
    config.endpoints.insert(name.as_str().into(), set);
    record(config, service, DnsAnswer::Cluster(name.as_str().into()));
}

fn record(config: &mut ProxyConfig, name: &str, answer: DnsAnswer) {
    let name: Arc<str> = format!("{name}.{DOMAIN}").as_str().into();
    let record = DnsRecord {
        name: Arc::clone(&name),
        answer,
    };
    config.dns.insert(name, Arc::new(record));
}

fn addresses(config: &mut ProxyConfig, name: &str, list: &[&str]) {
    let list = list.iter().map(|text| text.parse().unwrap()).collect();
    record(config, name, DnsAnswer::Addresses(list));
}

fn lesson() -> ProxyConfig {
    let mut config = ProxyConfig::default();
    addresses(&mut config, "my-api.production", &["10.96.0.42"]);
    addresses(
        &mut config,
        "dual.production",
        &["10.96.0.43", "fd00:96::43"],
    );
    let srv = DnsAnswer::Service {
        target: format!("my-api.production.{DOMAIN}").as_str().into(),
        port: 80,
    };
    record(&mut config, "_http._tcp.my-api.production", srv);
    let pods = [("10.244.1.1", Some("postgres-0")), ("10.244.2.1", None)];
    headless(&mut config, "postgres-headless.default", &pods);
    let srv = DnsAnswer::Service {
        target: format!("postgres-headless.default.{DOMAIN}")
            .as_str()
            .into(),
        port: 5432,
    };
    record(&mut config, "_pg._tcp.postgres-headless.default", srv);
    headless(&mut config, "nobody.default", &[]);
    let alias = ClusterKind::Alias("mydb.rds.amazonaws.com".into());
    cluster(&mut config, "default/my-database", alias);
    record(
        &mut config,
        "my-database.default",
        DnsAnswer::Cluster("default/my-database".into()),
    );
    let inside = ClusterKind::Alias(format!("my-api.production.{DOMAIN}").as_str().into());
    cluster(&mut config, "default/inside", inside);
    record(
        &mut config,
        "inside.default",
        DnsAnswer::Cluster("default/inside".into()),
    );
    let itself = ClusterKind::Alias(format!("loop.default.{DOMAIN}").as_str().into());
    cluster(&mut config, "default/loop", itself);
    record(
        &mut config,
        "loop.default",
        DnsAnswer::Cluster("default/loop".into()),
    );
    config
}

fn query(name: &str, kind: RecordType) -> Message {
    let mut query = Message::query();
    query.metadata.id = 7;
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    query
}

/// The outcome in one line: `NoError A 10.96.0.42`, `alias to X`, `forward`.
fn outcome(name: &str, kind: RecordType) -> String {
    let zone = Zone::new("Cluster.Local.");
    match answer(&query(name, kind), &lesson(), &zone) {
        Outcome::Forward => "forward".into(),
        Outcome::Alias { target, .. } => format!("alias to {target}"),
        Outcome::Local(message) => {
            let mut line = format!("{:?}", message.metadata.response_code);
            let mut answers: Vec<_> = message
                .answers
                .iter()
                .map(|record| format!(" {} {}", record.record_type(), record.data))
                .collect();
            answers.sort();
            line.extend(answers);
            line
        }
    }
}

#[test]
fn names_are_answered_as_the_specification_says() {
    use RecordType as T;
    let table = [
        (
            "my-api.production.svc.cluster.local.",
            T::A,
            "NoError A 10.96.0.42",
        ),
        // The name exists, but not with an IPv6 address: no NXDOMAIN, or the search list would go on.
        ("my-api.production.svc.cluster.local.", T::AAAA, "NoError"),
        ("my-api.production.svc.cluster.local.", T::MX, "NoError"),
        (
            "dual.production.svc.cluster.local.",
            T::AAAA,
            "NoError AAAA fd00:96::43",
        ),
        (
            "MY-api.Production.SVC.cluster.LOCAL.",
            T::A,
            "NoError A 10.96.0.42",
        ),
        (
            "postgres-headless.default.svc.cluster.local.",
            T::A,
            "NoError A 10.244.1.1 A 10.244.2.1",
        ),
        (
            "postgres-0.postgres-headless.default.svc.cluster.local.",
            T::A,
            "NoError A 10.244.1.1",
        ),
        (
            "10-244-2-1.postgres-headless.default.svc.cluster.local.",
            T::A,
            "NoError A 10.244.2.1",
        ),
        (
            "postgres-7.postgres-headless.default.svc.cluster.local.",
            T::A,
            "NXDomain",
        ),
        ("nobody.default.svc.cluster.local.", T::A, "NXDomain"),
        ("unknown.default.svc.cluster.local.", T::A, "NXDomain"),
        ("my-api.default.svc.cluster.local.", T::A, "NXDomain"),
        ("a.my-api.production.svc.cluster.local.", T::A, "NXDomain"),
        (
            "_http._tcp.my-api.production.svc.cluster.local.",
            T::SRV,
            "NoError SRV 0 100 80 my-api.production.svc.cluster.local.",
        ),
        (
            "_tcp.my-api.production.svc.cluster.local.",
            T::SRV,
            "NoError",
        ),
        (
            "_pg._tcp.postgres-headless.default.svc.cluster.local.",
            T::SRV,
            "NoError SRV 0 100 5432 10-244-2-1.postgres-headless.default.svc.cluster.local. \
             SRV 0 100 5432 postgres-0.postgres-headless.default.svc.cluster.local.",
        ),
        (
            "my-database.default.svc.cluster.local.",
            T::A,
            "alias to mydb.rds.amazonaws.com",
        ),
        (
            "my-database.default.svc.cluster.local.",
            T::CNAME,
            "NoError CNAME mydb.rds.amazonaws.com.",
        ),
        (
            "inside.default.svc.cluster.local.",
            T::A,
            "NoError A 10.96.0.42 CNAME my-api.production.svc.cluster.local.",
        ),
        ("loop.default.svc.cluster.local.", T::A, "ServFail"),
        ("production.svc.cluster.local.", T::A, "NoError"),
        ("nowhere.svc.cluster.local.", T::A, "NXDomain"),
        ("svc.cluster.local.", T::A, "NoError"),
        ("cluster.local.", T::A, "NoError"),
        ("dns-version.cluster.local.", T::TXT, "NoError TXT 1.1.0"),
        ("example.com.", T::A, "forward"),
        ("notcluster.local.", T::A, "forward"),
        ("10-244-1-1.default.pod.cluster.local.", T::A, "forward"),
        (
            "42.0.96.10.in-addr.arpa.",
            T::PTR,
            "NoError PTR my-api.production.svc.cluster.local.",
        ),
        (
            "1.1.244.10.in-addr.arpa.",
            T::PTR,
            "NoError PTR postgres-0.postgres-headless.default.svc.cluster.local.",
        ),
        ("1.1.1.1.in-addr.arpa.", T::PTR, "forward"),
    ];
    for (name, kind, expected) in table {
        assert_eq!(outcome(name, kind), expected, "{name} {kind}");
    }
}

#[test]
fn the_question_comes_back_in_its_own_case() {
    let name = "My-Api.PRODUCTION.svc.cluster.local.";
    let Outcome::Local(message) = answer(
        &query(name, RecordType::A),
        &lesson(),
        &Zone::new("cluster.local"),
    ) else {
        panic!("a local answer");
    };
    assert_eq!(message.queries[0].name().to_ascii(), name);
    assert_eq!(message.answers[0].name.to_ascii(), name);
}

#[test]
fn a_negative_answer_carries_the_zones_soa() {
    let unknown = query("x.y.svc.cluster.local.", RecordType::A);
    let Outcome::Local(message) = answer(&unknown, &lesson(), &Zone::new("cluster.local")) else {
        panic!("a local answer");
    };
    assert!(matches!(message.authorities[0].data, RData::SOA(_)));
}

#[test]
fn before_the_first_configuration_names_of_the_zone_are_forwarded() {
    let unknown = query("my-api.production.svc.cluster.local.", RecordType::A);
    let outcome = answer(
        &unknown,
        &ProxyConfig::default(),
        &Zone::new("cluster.local"),
    );
    assert!(matches!(outcome, Outcome::Forward));
}

#[test]
fn each_endpoint_of_a_headless_service_gets_its_turn_to_be_first() {
    let first = |id: u16| {
        let mut question = query(
            "postgres-headless.default.svc.cluster.local.",
            RecordType::A,
        );
        question.metadata.id = id;
        let Outcome::Local(message) = answer(&question, &lesson(), &Zone::new("cluster.local"))
        else {
            panic!("a local answer");
        };
        message.answers[0].data.to_string()
    };
    assert_eq!([first(0), first(1)], ["10.244.1.1", "10.244.2.1"]);
}

#[test]
fn a_headless_service_record_tells_the_port_that_the_endpoint_has() {
    let mut config = lesson();
    let name = "db.default:80";
    cluster(&mut config, name, ClusterKind::Eds(name.into()));
    let endpoint = Endpoint {
        address: "10.244.1.1:8080".parse().unwrap(),
        health: EndpointHealth::Healthy,
        hostname: Some("db-0".into()),
        weight: 1,
    };
    let set = EndpointSet {
        endpoints: vec![endpoint],
    };
    config.endpoints.insert(name.into(), Arc::new(set));
    record(
        &mut config,
        "db.default",
        DnsAnswer::Cluster("db.default:5432".into()),
    );
    let srv = DnsAnswer::Service {
        target: format!("db.default.{DOMAIN}").as_str().into(),
        port: 80,
    };
    record(&mut config, "_http._tcp.db.default", srv);
    let question = query("_http._tcp.db.default.svc.cluster.local.", RecordType::SRV);
    let Outcome::Local(message) = answer(&question, &config, &Zone::new("cluster.local")) else {
        panic!("a local answer");
    };
    let target = "0 100 8080 db-0.db.default.svc.cluster.local.";
    assert_eq!(message.answers[0].data.to_string(), target);
}

proptest! {
    #[test]
    fn any_readable_message_gets_an_outcome(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::from_vec(&bytes) {
            let _ = answer(&message, &lesson(), &Zone::new("cluster.local"));
        }
        let _ = crate::message::format_error(&bytes);
    }

    #[test]
    fn any_name_gets_an_outcome(labels in prop::collection::vec("[a-zA-Z0-9_-]{1,12}", 0..6), below in any::<bool>()) {
        let suffix = if below { "svc.cluster.local." } else { "" };
        let name = format!("{}.{suffix}", labels.join("."));
        if let Ok(name) = Name::from_ascii(&name) {
            let mut message = Message::query();
            message.add_query(Query::query(name, RecordType::ANY));
            let _ = answer(&message, &lesson(), &Zone::new("cluster.local"));
        }
    }
}

#[test]
fn a_reverse_name_of_a_network_is_not_an_address() {
    assert_eq!(outcome("96.10.in-addr.arpa.", RecordType::PTR), "forward");
}
