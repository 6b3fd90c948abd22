use std::{net::IpAddr, sync::Arc};

use heddle_identity::Namespace;
use heddle_proto::{
    envoy::{
        config::{cluster::v3::cluster::DiscoveryType, core::v3::HealthStatus},
        data::dns::v3::dns_table::{AddressList, dns_endpoint::EndpointConfig},
    },
    heddle::v1::{
        self,
        listener_scope::{Kind, Outbound},
    },
    type_url,
};

use super::{config, good, service};
use crate::{DnsAnswer, testing::*};

#[test]
fn a_changed_endpoint_set_leaves_everything_else_the_same_objects() {
    let mut store = store();
    service(&mut store, "shop/cart:80", "10.96.0.1");
    service(&mut store, "shop/web:80", "10.96.0.2");
    let before = config(&store);
    let endpoints = vec![endpoint("10.1.0.9", 8080, HealthStatus::Healthy)];
    good(
        &mut store,
        one("shop/cart:80", &assignment("shop/cart:80", endpoints)),
    );
    let after = config(&store);
    assert_ne!(
        before.endpoints["shop/cart:80"],
        after.endpoints["shop/cart:80"]
    );
    assert!(Arc::ptr_eq(
        &before.endpoints["shop/web:80"],
        &after.endpoints["shop/web:80"]
    ));
    for (name, table) in &before.routes {
        assert!(
            Arc::ptr_eq(table, &after.routes[name]),
            "{name} was built anew"
        );
    }
    for (name, cluster) in &before.clusters {
        assert!(
            Arc::ptr_eq(cluster, &after.clusters[name]),
            "{name} was built anew"
        );
    }
    for (address, listener) in &before.outbound {
        assert!(
            Arc::ptr_eq(listener, &after.outbound[address]),
            "{address} was built anew"
        );
    }
}

#[test]
fn what_is_sent_again_unchanged_publishes_nothing() {
    let mut store = store();
    service(&mut store, "shop/cart:80", "10.96.0.1");
    let revision = store.revision();
    service(&mut store, "shop/cart:80", "10.96.0.1");
    assert_eq!(store.revision(), revision);
}

#[test]
fn names_to_subscribe_to_follow_listeners_and_clusters() {
    let mut store = store();
    good(
        &mut store,
        one("a/a:80", &outbound_http("a/a:80", "10.96.0.1")),
    );
    good(
        &mut store,
        one("a/b:80", &outbound_detect("a/b:80", "10.96.0.2")),
    );
    let opaque = outbound("a/c:80", "10.96.0.3", 80, vec![tcp_proxy("a/c:80")]);
    good(&mut store, one("a/c:80", &opaque));
    good(&mut store, one("gateway/x", &gateway("gateway/x", 80)));
    good(
        &mut store,
        one("a/a:80", &cluster("a/a:80", DiscoveryType::Eds)),
    );
    good(
        &mut store,
        one("local", &cluster("local", DiscoveryType::OriginalDst)),
    );
    let referenced = store.referenced();
    let routes: Vec<&str> = referenced.routes.iter().map(String::as_str).collect();
    assert_eq!(routes, ["a/a:80", "a/b:80", "gateway/x"]);
    let endpoints: Vec<&str> = referenced.endpoints.iter().map(String::as_str).collect();
    assert_eq!(endpoints, ["a/a:80"]);
}

#[test]
fn a_consumers_listener_comes_before_the_general_one() {
    let mut store = store();
    let all = outbound("s/a:80", "10.96.0.1", 80, vec![tcp_proxy("all")]);
    let mut own = outbound("s/a:80@shop", "10.96.0.1", 80, vec![tcp_proxy("own")]);
    own.metadata = scope(Kind::Outbound(Outbound {
        client_namespace: "shop".to_owned(),
    }));
    good(&mut store, one("s/a:80", &all));
    good(&mut store, one("s/a:80@shop", &own));
    let config = config(&store);
    let find = |namespace: &str| {
        let namespace = Namespace::new(namespace).expect("valid");
        let address = "10.96.0.1:80".parse().expect("valid");
        config
            .outbound_listener(&namespace, address)
            .expect("a listener")
            .name
            .to_string()
    };
    assert_eq!(find("shop"), "s/a:80@shop");
    assert_eq!(find("other"), "s/a:80");
}

#[test]
fn an_address_of_two_services_belongs_to_the_first_by_name_until_that_goes() {
    let mut store = store();
    for name in ["s/b:80", "s/a:80"] {
        let listener = outbound(name, "10.96.0.1", 80, vec![tcp_proxy(name)]);
        good(&mut store, one(name, &listener));
    }
    let owner = |config: &crate::ProxyConfig| {
        let address = "10.96.0.1:80"
            .parse::<std::net::SocketAddr>()
            .expect("valid");
        config.outbound[&address].name.to_string()
    };
    assert_eq!(owner(&config(&store)), "s/a:80");
    good(&mut store, removal(type_url::LISTENER, "s/a:80"));
    assert_eq!(owner(&config(&store)), "s/b:80");
}

fn at(store: &crate::Store, last: u8) -> Option<String> {
    let address = IpAddr::from([10, 1, 0, last]);
    config(store)
        .workloads
        .at(address)
        .map(|w| w.name.to_string())
}

#[test]
fn an_address_that_is_used_again_belongs_to_the_latest_pod() {
    let mut store = store();
    good(
        &mut store,
        one("shop/old", &workload("old", &[[10, 1, 0, 1]])),
    );
    good(
        &mut store,
        one("shop/new", &workload("new", &[[10, 1, 0, 1]])),
    );
    assert_eq!(at(&store, 1).as_deref(), Some("shop/new"));
    // Another change of the old pod does not take the address back.
    let mut old = workload("old", &[[10, 1, 0, 1]]);
    old.version = "2".to_owned();
    good(&mut store, one("shop/old", &old));
    assert_eq!(at(&store, 1).as_deref(), Some("shop/new"));
    good(&mut store, removal(type_url::WORKLOAD, "shop/old"));
    assert_eq!(at(&store, 1).as_deref(), Some("shop/new"));
    good(&mut store, removal(type_url::WORKLOAD, "shop/new"));
    assert_eq!(at(&store, 1), None);
}

#[test]
fn a_pod_that_moves_to_another_address_leaves_the_old_one() {
    let mut store = store();
    good(&mut store, one("shop/a", &workload("a", &[[10, 1, 0, 1]])));
    good(&mut store, one("shop/a", &workload("a", &[[10, 1, 0, 2]])));
    assert_eq!(
        (at(&store, 1), at(&store, 2).as_deref()),
        (None, Some("shop/a"))
    );
}

#[test]
fn an_address_of_a_node_tells_no_pod() {
    let mut store = store();
    let mut in_host_network = workload("agent", &[[10, 1, 0, 1]]);
    in_host_network.host_network = true;
    good(&mut store, one("shop/agent", &in_host_network));
    let node = v1::Workload {
        name: "node-a".to_owned(),
        addresses: vec![vec![10, 1, 0, 1]],
        ..v1::Workload::default()
    };
    good(&mut store, one("node/node-a", &node));
    assert_eq!(at(&store, 1), None);
    let seen = config(&store);
    assert!(seen.workloads.by_name.contains_key("shop/agent"));
    assert_eq!(seen.workloads.nodes["node-a"].addresses.len(), 1);
    good(&mut store, removal(type_url::WORKLOAD, "node/node-a"));
    assert!(config(&store).workloads.nodes.is_empty());
}

#[test]
fn a_nodes_addresses_follow_what_is_told_of_that_node() {
    let mut store = store();
    let told = |addresses: &[[u8; 4]]| v1::Workload {
        name: "node-a".to_owned(),
        addresses: addresses.iter().map(|octets| octets.to_vec()).collect(),
        ..v1::Workload::default()
    };
    let is_of = |store: &crate::Store, node, last: u8| {
        let address = IpAddr::from([172, 18, 0, last]);
        config(store).workloads.is_of_node(node, address)
    };
    good(&mut store, one("node/node-a", &told(&[[172, 18, 0, 11]])));
    assert!(is_of(&store, "node-a", 11));
    assert!(!is_of(&store, "node-b", 11) && !is_of(&store, "node-a", 12));
    good(&mut store, one("node/node-a", &told(&[[172, 18, 0, 12]])));
    assert!(is_of(&store, "node-a", 12) && !is_of(&store, "node-a", 11));
    good(&mut store, removal(type_url::WORKLOAD, "node/node-a"));
    assert!(!is_of(&store, "node-a", 12));
}

#[test]
fn dns_names_come_and_go_with_their_tables() {
    let mut store = store();
    let answer = |ip: &str| {
        EndpointConfig::AddressList(AddressList {
            address: vec![ip.to_owned()],
        })
    };
    good(
        &mut store,
        one(
            "s/a",
            &dns(vec![
                ("a.s", answer("10.0.0.1")),
                ("b.s", answer("10.0.0.2")),
            ]),
        ),
    );
    good(
        &mut store,
        one("s/a", &dns(vec![("b.s", answer("10.0.0.3"))])),
    );
    let config = config(&store);
    assert!(!config.dns.contains_key("a.s"));
    assert_eq!(
        config.dns["b.s"].answer,
        DnsAnswer::Addresses(vec![IpAddr::from([10, 0, 0, 3])])
    );
}

#[test]
fn tables_and_endpoints_that_stand_in_their_parents_are_published_with_them() {
    let mut store = store();
    let name = "s/a:80";
    let inline_routes = http(inline(routes("r", vec![to(name)])));
    good(
        &mut store,
        one(name, &outbound(name, "10.96.0.1", 80, vec![inline_routes])),
    );
    let mut with_endpoints = cluster(name, DiscoveryType::Static);
    let endpoints = vec![endpoint("10.1.0.1", 8080, HealthStatus::Healthy)];
    with_endpoints.load_assignment = Some(assignment(name, endpoints));
    good(&mut store, one(name, &with_endpoints));
    let seen = config(&store);
    assert_eq!(seen.routes.len(), 1);
    let cluster = &seen.clusters[name];
    assert_eq!(
        seen.endpoints_of(cluster)
            .expect("endpoints")
            .endpoints
            .len(),
        1
    );
    assert_eq!(store.referenced(), crate::Referenced::default());
    good(&mut store, removal(type_url::LISTENER, name));
    good(&mut store, removal(type_url::CLUSTER, name));
    assert!(config(&store).routes.is_empty() && config(&store).endpoints.is_empty());
}
