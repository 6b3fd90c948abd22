use heddle_proto::{
    envoy::config::rbac::v3::{permission::Rule, principal::Identifier},
    type_url,
};

use super::{config, good, service};
use crate::{NetworkPolicy, PodName, testing::*};

fn pod_name() -> PodName {
    PodName {
        namespace: heddle_identity::Namespace::new("shop").expect("valid"),
        name: "cart-7d4".into(),
    }
}

fn isolated() -> PodRules {
    PodRules {
        network_policy: Some(allow(Rule::DestinationPort(80), Identifier::Any(true))),
        ..PodRules::default()
    }
}

#[test]
fn an_empty_store_has_an_empty_configuration() {
    let store = store();
    assert_eq!(store.revision(), 0);
    assert!(config(&store).pods.is_empty());
    assert!(config(&store).trust_bundle.is_empty());
}

#[test]
fn a_pod_whose_listener_was_never_understood_is_not_there() {
    let mut store = store();
    let nacks = store.apply(garbage(type_url::LISTENER, POD));
    assert_eq!(nacks.len(), 1);
    assert_eq!(nacks[0].name, POD);
    assert!(
        nacks[0].message.starts_with("Listener pod/shop/cart-7d4: "),
        "{nacks:?}"
    );
    assert!(config(&store).pods.is_empty());
    assert!(store.versions(type_url::LISTENER).is_empty());
}

#[test]
fn a_listener_that_is_not_understood_leaves_the_last_good_one() {
    let mut store = store();
    good(&mut store, one(POD, &pod(&isolated())));
    let versions = store.versions(type_url::LISTENER);
    let mut bad = pod(&PodRules::default());
    bad.filter_chains[0].filters.clear();
    let nacks = store.apply(one(POD, &bad));
    assert!(
        nacks[0].message.contains("filter_chains[0].filters"),
        "{nacks:?}"
    );
    let config = config(&store);
    let kept = config.pods.get(&pod_name()).expect("the pod");
    assert!(matches!(kept.ingress, NetworkPolicy::Isolated { .. }));
    assert_eq!(
        store.versions(type_url::LISTENER),
        versions,
        "the refused version is not claimed"
    );
}

#[test]
fn a_bad_resource_harms_only_itself() {
    let mut store = store();
    let mut update = one("a/b:80", &routes("a/b:80", vec![to("a/b:80")]));
    let mut bad = routes("a/c:80", vec![to("a/c:80")]);
    bad.virtual_hosts[0].domains.clear();
    update.resources.extend(one("a/c:80", &bad).resources);
    update
        .resources
        .extend(one("a/d:80", &routes("a/d:80", vec![to("x")])).resources);
    let nacks = store.apply(update);
    assert_eq!(nacks.len(), 1);
    assert_eq!(
        nacks[0].message,
        "RouteConfiguration a/c:80: virtual_hosts[0].domains: must not be empty"
    );
    let config = config(&store);
    assert!(config.routes.contains_key("a/b:80") && config.routes.contains_key("a/d:80"));
    assert!(!config.routes.contains_key("a/c:80"));
}

#[test]
fn a_name_that_stands_twice_in_a_response_is_refused() {
    let mut store = store();
    let mut update = one("set", &address_set(&[[10, 0, 0, 1]]));
    update
        .resources
        .extend(one("set", &address_set(&[[10, 0, 0, 2]])).resources);
    let nacks = store.apply(update);
    assert!(nacks[0].message.contains("twice"), "{nacks:?}");
}

#[test]
fn an_unknown_type_is_refused() {
    let mut store = store();
    let nacks = store.apply(garbage("type.googleapis.com/some.Type", "x"));
    assert!(nacks[0].message.contains("unknown type"), "{nacks:?}");
    assert_eq!(store.revision(), 0);
}

#[test]
fn what_is_removed_is_gone() {
    let mut store = store();
    service(&mut store, "shop/cart:80", "10.96.0.1");
    good(&mut store, one(POD, &pod(&isolated())));
    good(&mut store, one("set", &address_set(&[[10, 0, 0, 1]])));
    good(
        &mut store,
        one("ROOTCA", &roots("-----BEGIN CERTIFICATE-----")),
    );
    assert!(!config(&store).trust_bundle.is_empty());
    for (url, name) in [
        (type_url::LISTENER, POD),
        (type_url::LISTENER, "shop/cart:80"),
        (type_url::CLUSTER, "shop/cart:80"),
        (type_url::ADDRESS_SET, "set"),
        (type_url::SECRET, "ROOTCA"),
        (type_url::SECRET, "never there"),
    ] {
        good(&mut store, removal(url, name));
    }
    let config = config(&store);
    assert!(config.pods.is_empty() && config.outbound.is_empty() && config.clusters.is_empty());
    assert!(
        config.routes.is_empty() && config.endpoints.is_empty(),
        "nothing refers to them"
    );
    assert!(config.address_sets.0.is_empty() && config.trust_bundle.is_empty());
    assert!(store.good().is_empty());
}
