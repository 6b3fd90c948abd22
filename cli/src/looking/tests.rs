use heddle_proto::{
    Message,
    envoy::{
        admin::v3::UpdateFailureState,
        config::{
            core::v3::Node,
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints,
                lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, FilterChain, Listener, filter::ConfigType},
            rbac::v3::{Policy, Rbac},
        },
        extensions::filters::network::rbac::v3::Rbac as NetworkRbac,
        service::status::v3::{ClientConfig, ConfigStatus, client_config::GenericXdsConfig},
    },
    google::protobuf::{Any, Struct},
    pack, type_url,
};
use serde_json::{Value, json};
use time::macros::datetime;

use super::{certificates::Certificates, client::Client, config, kinds::Kind, status, text};

/// A struct out of JSON.
fn structure(value: &Value) -> Struct {
    let bytes = heddle_proto_json::bytes("google.protobuf.Struct", value);
    Struct::decode(&*bytes.unwrap()).unwrap()
}

fn client(name: &str, summary: &Value, resources: Vec<GenericXdsConfig>) -> Client {
    Client::from(ClientConfig {
        node: Some(Node {
            id: name.to_owned(),
            user_agent_name: "envoy".to_owned(),
            metadata: Some(structure(&json!({"dev.heddle.status": summary}))),
            ..Node::default()
        }),
        generic_xds_configs: resources,
        ..ClientConfig::default()
    })
}

fn counts(wanted: u32, synced: u32) -> Value {
    json!({"wanted": wanted, "synced": synced})
}

fn body(message: &impl Message, type_url: &str) -> Any {
    Any {
        type_url: type_url.to_owned(),
        value: message.encode_to_vec(),
    }
}

fn endpoints(addresses: &[&str]) -> Any {
    let endpoint = |address: &&str| LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            hostname: (*address).to_owned(),
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    };
    let message = ClusterLoadAssignment {
        cluster_name: "shop/cart:80".to_owned(),
        endpoints: vec![LocalityLbEndpoints {
            lb_endpoints: addresses.iter().map(endpoint).collect(),
            ..LocalityLbEndpoints::default()
        }],
        ..ClusterLoadAssignment::default()
    };
    body(&message, type_url::CLUSTER_LOAD_ASSIGNMENT)
}

/// It runs `a`, should have `b`, and refuses it.
fn refused() -> GenericXdsConfig {
    GenericXdsConfig {
        type_url: type_url::CLUSTER_LOAD_ASSIGNMENT.to_owned(),
        name: "shop/cart:80".to_owned(),
        version_info: "1111".to_owned(),
        xds_config: Some(endpoints(&["a", "same"])),
        config_status: ConfigStatus::Error.into(),
        error_state: Some(UpdateFailureState {
            failed_configuration: Some(endpoints(&["b", "same"])),
            version_info: "2222".to_owned(),
            details: "too \u{1b}[31mblue (made from Service shop/cart)".to_owned(),
            ..UpdateFailureState::default()
        }),
        ..GenericXdsConfig::default()
    }
}

fn two() -> [Client; 2] {
    let good = json!({
        "role": "node", "stream": 1, "certificate_expires": "2026-01-01T23:30:00Z",
        "types": {type_url::LISTENER: counts(3, 3), type_url::WORKLOAD: counts(7, 7)},
    });
    let bad = json!({
        "role": "grpc", "stream": 2, "unanswered_seconds": 130.5,
        "types": {type_url::CLUSTER_LOAD_ASSIGNMENT: counts(12, 11)},
    });
    [
        client("node-a", &good, vec![]),
        client("node-b", &bad, vec![refused()]),
    ]
}

#[test]
fn the_overview_is_one_row_for_each_client_and_a_paragraph_for_each_refusal() {
    let now = datetime!(2026-01-01 00:00 UTC);
    let expected = "\
CLIENT  KIND  VERSION  LISTENERS  ROUTES  CLUSTERS  ENDPOINTS  OTHER  LAG  NACK  CERT
node-a  node  envoy    3          -       -         -          7      -    -     23h
node-b  grpc  envoy    -          -       -         11/12      -      2m   1     -

node-b refuses the ClusterLoadAssignment shop/cart:80 (version 2222):
  too \u{fffd}[31mblue (made from Service shop/cart)
  It goes on with version 1111.
  Look: heddle config endpoints node-b --name shop/cart:80 --diff
";
    assert_eq!(status::report(&two(), now, false), expected);
    assert!(status::report(&[], now, false).starts_with("No client is connected."));
}

#[test]
fn for_programs_the_overview_has_every_count_and_what_is_pending() {
    let list = status::list(&two());
    assert_eq!(list["kind"], "ClientStatusList");
    let second = &list["items"][1];
    let endpoints = &second["types"][type_url::CLUSTER_LOAD_ASSIGNMENT];
    assert_eq!(*endpoints, counts(12, 11));
    assert_eq!(second["pending"][0]["wantedVersion"], "2222");
    assert_eq!(list["items"][0]["pending"], json!([]));
}

#[test]
fn a_resource_is_shown_as_wanted_and_as_running() {
    let [_, client] = two();
    let shown = config::select(&client, Kind::Endpoints, None);
    let table = config::rows(Kind::Endpoints, &shown);
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row, ["shop/cart:80", "REFUSED", "2222", "1111", "none"]);
    let list = config::list("node-b", &shown);
    let hosts = |of: &str| {
        let resource = &list["items"][0][of]["resource"];
        let endpoint = &resource["endpoints"][0]["lbEndpoints"][0];
        endpoint["endpoint"]["hostname"].clone()
    };
    assert_eq!(
        (hosts("running"), hosts("wanted")),
        (json!("a"), json!("b"))
    );
    let of_type = &list["items"][0]["wanted"]["resource"]["@type"];
    assert_eq!(*of_type, type_url::CLUSTER_LOAD_ASSIGNMENT);
    assert!(config::select(&client, Kind::Endpoints, Some("shop/other:80")).is_empty());
    assert!(config::select(&client, Kind::Listeners, None).is_empty());
}

#[test]
fn the_difference_has_the_lines_that_differ_and_why() {
    let [_, client] = two();
    let text = config::diff(&config::select(&client, Kind::Endpoints, None));
    let changes: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with(['+', '-', '#']))
        .map(str::trim_end)
        .collect();
    assert_eq!(changes.len(), 5, "{text}");
    assert!(changes[0].starts_with("# REFUSED: too \u{fffd}"), "{text}");
    assert_eq!(changes[1], "--- shop/cart:80 running 1111");
    assert_eq!(changes[2], "+++ shop/cart:80 wanted 2222");
    assert!(
        changes[3].starts_with('-') && changes[3].ends_with("hostname: a"),
        "{text}"
    );
    assert!(
        changes[4].starts_with('+') && changes[4].ends_with("hostname: b"),
        "{text}"
    );
}

#[test]
fn what_is_in_sync_has_no_difference() {
    let synced = GenericXdsConfig {
        config_status: ConfigStatus::Synced.into(),
        error_state: None,
        ..refused()
    };
    let client = client("node-a", &json!({}), vec![synced]);
    let shown = config::select(&client, Kind::Endpoints, None);
    assert_eq!((shown.len(), config::diff(&shown)), (1, String::new()));
}

#[test]
fn policies_are_the_rbac_filters_of_listeners_and_listeners_without_one_have_none() {
    let listener = |name: &str, filters: Vec<Filter>| {
        let message = Listener {
            name: name.to_owned(),
            filter_chains: vec![FilterChain {
                filters,
                ..FilterChain::default()
            }],
            ..Listener::default()
        };
        GenericXdsConfig {
            type_url: type_url::LISTENER.to_owned(),
            name: name.to_owned(),
            version_info: "1".to_owned(),
            xds_config: Some(body(&message, type_url::LISTENER)),
            config_status: ConfigStatus::Synced.into(),
            ..GenericXdsConfig::default()
        }
    };
    let rule = (
        "NetworkPolicy shop/cart ingress rule 0".to_owned(),
        Policy::default(),
    );
    let rbac = NetworkRbac {
        rules: Some(Rbac {
            policies: [rule].into(),
            ..Rbac::default()
        }),
        ..NetworkRbac::default()
    };
    let filter = Filter {
        name: "heddle.network_policy".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack(&rbac))),
    };
    let resources = vec![
        listener("pod/shop/cart", vec![filter]),
        listener("shop/cart:80", vec![]),
    ];
    let client = client("node-a", &json!({}), resources);
    let shown = config::select(&client, Kind::Policies, None);
    let table = config::rows(Kind::Policies, &shown);
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("pod/shop/cart"), "{table}");
    assert!(
        table.ends_with("NetworkPolicy shop/cart ingress rule 0\n"),
        "{table}"
    );
}

#[test]
fn times_are_short_and_what_is_past_is_negative() {
    let now = datetime!(2026-01-01 00:00 UTC);
    assert_eq!(text::until("2026-01-01T00:01:30Z", now), "90s");
    assert_eq!(text::until("2026-01-11T00:00:00Z", now), "10d");
    assert_eq!(text::until("2025-12-31T23:00:00Z", now), "-60m");
    assert_eq!(text::until("some day", now), "some day");
}

#[test]
fn certificates_of_all_replicas_count_together_and_what_was_renewed_elsewhere_is_forgotten() {
    let signed = |holder: &str, account: &str, expires: i64| json!({"holder": holder, "identity": format!("spiffe://cluster.local/ns/shop/sa/{account}"), "expires": expires});
    let answer = |all: &[Value]| serde_json::to_vec(&json!({"certificates": all})).unwrap();
    let web = "spiffe://cluster.local/ns/shop/sa/web";
    let mut certificates = Certificates::default();
    // The first replica gave two to node-a, one of which the second has renewed since.
    certificates.add(&answer(&[
        signed("node-a", "cart", 1_000),
        signed("node-a", "pay", 5_000),
    ]));
    certificates.add(&answer(&[
        signed("node-a", "cart", 9_000),
        signed(web, "web", 3_000),
    ]));
    // An earlier release answers otherwise.
    certificates.add(b"not found");
    let first = |of: &str| certificates.first_end(of);
    assert_eq!(first("node-a").as_deref(), Some("1970-01-01T01:23:20Z"));
    assert_eq!(first(web).as_deref(), Some("1970-01-01T00:50:00Z"));
    let cart = "spiffe://cluster.local/ns/shop/sa/cart";
    assert_eq!(first(cart).as_deref(), Some("1970-01-01T02:30:00Z"));
    assert_eq!(first("node-b"), None);
}
