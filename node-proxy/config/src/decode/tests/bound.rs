//! Listeners of control planes that are not Heddle's.

use heddle_proto::{
    envoy::config::listener::v3::{
        AdditionalAddress, FilterChainMatch, Listener as WireListener, ListenerFilter,
    },
    google::protobuf::BoolValue,
    pack,
};

use super::refused;
use crate::{
    BoundListener, BoundProtocol,
    decode::{DecodeError, Listener, listener},
    testing::*,
};

fn decode(wire: &WireListener) -> Result<Listener, DecodeError> {
    listener(&wire.name, &pack(wire), &trust_domain())
}

#[track_caller]
fn bound(wire: &WireListener) -> BoundListener {
    match decode(wire).expect("valid") {
        Listener::Bound(bound, _) => (*bound).clone(),
        other => panic!("{other:?}"),
    }
}

fn shares(protocol: &BoundProtocol) -> Vec<(String, u32)> {
    let BoundProtocol::Opaque { clusters } = protocol else {
        panic!("{protocol:?}");
    };
    let share =
        |c: &heddle_routing::WeightedCluster| (c.cluster.as_deref().unwrap().into(), c.weight);
    clusters.iter().map(|c| share(c)).collect()
}

#[test]
fn a_listener_without_a_scope_is_bound_at_its_address() {
    let http = bound(&plain("web", 8080, http(rds("routes"))));
    assert_eq!(http.address.to_string(), "127.0.0.1:8080");
    assert!(!http.is_gateways);
    assert!(matches!(http.protocol, BoundProtocol::Http { routes } if &*routes == "routes"));
    let tcp = bound(&plain("bytes", 8081, tcp_proxy("a")));
    assert_eq!(shares(&tcp.protocol), [("a".to_owned(), 1)]);
}

#[test]
fn bytes_may_be_split_by_weight() {
    let split = bound(&plain(
        "bytes",
        8081,
        tcp_split(&[("a", 9), ("b", 1), ("c", 0)]),
    ));
    let expected = [("a", 9), ("b", 1), ("c", 0)].map(|(name, weight)| (name.to_owned(), weight));
    assert_eq!(shares(&split.protocol), expected);
}

#[test]
fn a_split_without_a_share_or_a_name_is_refused() {
    let field = "filter_chains[0].filters[0].weighted_clusters";
    let none = decode(&plain("bytes", 8081, tcp_split(&[("a", 0)])));
    refused(none, field, "sum of weights is 0");
    let empty = decode(&plain("bytes", 8081, tcp_split(&[])));
    refused(empty, field, "sum of weights is 0");
    let nameless = decode(&plain("bytes", 8081, tcp_split(&[("a", 1), ("", 1)])));
    refused(nameless, &format!("{field}.clusters[1].name"), "missing");
}

#[test]
fn a_split_of_a_pods_bytes_is_refused() {
    let wire = outbound(
        "shop/cart:80",
        "10.96.0.1",
        80,
        vec![tcp_split(&[("a", 1), ("b", 1)])],
    );
    refused(decode(&wire), "filter_chains.weighted_clusters", "bound");
}

#[test]
fn what_would_make_it_take_other_connections_is_refused() {
    let with = |change: fn(&mut WireListener)| {
        let mut wire = plain("web", 8080, http(rds("routes")));
        change(&mut wire);
        decode(&wire)
    };
    refused(
        with(|l| l.bind_to_port = Some(BoolValue { value: false })),
        "bind_to_port",
        "dev.heddle.listener",
    );
    refused(
        with(|l| l.use_original_dst = Some(BoolValue { value: true })),
        "use_original_dst",
        "not understood",
    );
    refused(
        with(|l| l.transparent = Some(BoolValue { value: true })),
        "transparent",
        "not understood",
    );
    refused(
        with(|l| l.additional_addresses = vec![AdditionalAddress::default()]),
        "additional_addresses",
        "not understood",
    );
    refused(
        with(|l| l.filter_chains.push(chain(vec![tcp_proxy("a")]))),
        "filter_chains",
        "exactly one",
    );
    refused(
        with(|l| l.filter_chains[0].filter_chain_match = Some(FilterChainMatch::default())),
        "filter_chains[0].filter_chain_match",
        "not understood",
    );
    refused(
        with(|l| {
            l.listener_filters = vec![ListenerFilter {
                name: "envoy.filters.listener.proxy_protocol".to_owned(),
                ..ListenerFilter::default()
            }];
        }),
        "listener_filters[0]",
        "proxy_protocol",
    );
}

#[test]
fn inspectors_change_nothing_where_there_is_one_chain() {
    let mut wire = plain("web", 8080, http(rds("routes")));
    wire.listener_filters = vec![ListenerFilter {
        name: "envoy.filters.listener.tls_inspector".to_owned(),
        ..ListenerFilter::default()
    }];
    wire.bind_to_port = Some(BoolValue { value: true });
    bound(&wire);
}
