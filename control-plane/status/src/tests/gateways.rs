//! Gateways and their classes.

use std::sync::Arc;

use heddle_resolve::{GatewayClassStatus, GatewayStatus, ListenerStatus};

use super::*;

fn gateway(addresses: &[&str], listeners: &[(&str, usize, bool)]) -> Wanted {
    let listeners = listeners.iter().map(|(name, routes, good)| ListenerStatus {
        name: (*name).to_owned(),
        supported_kinds: vec!["HTTPRoute", "GRPCRoute"],
        attached_routes: *routes,
        conditions: vec![
            condition(ConditionType::Accepted, true, "Accepted"),
            match good {
                true => condition(ConditionType::Conflicted, false, "NoConflicts"),
                false => condition(ConditionType::Conflicted, true, "HostnameConflict"),
            },
        ],
    });
    Wanted::Gateway(Arc::new(GatewayStatus {
        addresses: addresses
            .iter()
            .map(|address| address.parse().unwrap())
            .collect(),
        conditions: vec![
            condition(ConditionType::Accepted, true, "Accepted"),
            condition(ConditionType::Programmed, true, "Programmed"),
        ],
        listeners: listeners.collect(),
    }))
}

/// What the API server writes into a Gateway that nobody has looked at (the defaults of its CRD).
fn pending() -> Value {
    let one = |name: &str| {
        json!({
            "type": name, "status": "Unknown", "reason": "Pending", "message": "Waiting for controller",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        })
    };
    json!({"conditions": [one("Accepted"), one("Programmed")]})
}

#[test]
fn a_gateway_gets_addresses_conditions_and_listeners() {
    let change = change(
        &pending(),
        &gateway(&["10.0.0.1", "fd00::1"], &[("http", 2, true)]),
    )
    .unwrap();
    let kinds = ["HTTPRoute", "GRPCRoute"]
        .map(|kind| json!({"group": "gateway.networking.k8s.io", "kind": kind}));
    let expected = json!({
        "addresses": [{"type": "IPAddress", "value": "10.0.0.1"}, {"type": "IPAddress", "value": "fd00::1"}],
        "conditions": [
            written("Accepted", "True", "Accepted", NOW),
            written("Programmed", "True", "Programmed", NOW),
        ],
        "listeners": [{
            "name": "http", "supportedKinds": kinds, "attachedRoutes": 2,
            "conditions": [
                written("Accepted", "True", "Accepted", NOW),
                written("Conflicted", "False", "NoConflicts", NOW),
            ],
        }],
    });
    assert_eq!(change.status, expected);
    assert_eq!(lines(&change), [""; 0], "unknown was not bad");
}

#[test]
fn only_the_fields_that_change_are_written() {
    let (before, after) = (
        gateway(&["10.0.0.1"], &[("http", 2, true)]),
        gateway(&["10.0.0.1"], &[("http", 3, true)]),
    );
    let current = change(&pending(), &before).unwrap().status;
    let change = change(&current, &after).unwrap();
    let fields: Vec<&String> = change.status.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["listeners"]);
    assert_eq!(change.status["listeners"][0]["attachedRoutes"], 3);
}

#[test]
fn a_gateway_that_loses_its_addresses_has_none() {
    let current = change(&pending(), &gateway(&["10.0.0.1"], &[]))
        .unwrap()
        .status;
    let change = change(&current, &gateway(&[], &[])).unwrap();
    assert_eq!(change.status, json!({"addresses": []}));
}

#[test]
fn listeners_follow_the_spec_and_keep_their_times() {
    let before = gateway(&[], &[("a", 0, true), ("b", 0, true)]);
    let mut current = change(&pending(), &before).unwrap().status;
    current["listeners"][1]["conditions"][0]["lastTransitionTime"] = THEN.into();
    let after = gateway(&[], &[("c", 0, true), ("b", 0, false)]);
    let change = change(&current, &after).unwrap();
    let listeners = &change.status["listeners"];
    assert_eq!(
        (&listeners[0]["name"], &listeners[1]["name"]),
        (&json!("c"), &json!("b"))
    );
    assert_eq!(listeners[1]["conditions"][0]["lastTransitionTime"], THEN);
    assert_eq!(lines(&change), ["listener b: Conflicted is True"]);
}

#[test]
fn conditions_and_fields_of_others_stay() {
    let foreign = json!({"type": "example.com/DNSReady", "status": "True", "reason": "Ok", "message": "", "lastTransitionTime": THEN});
    let mut current = pending();
    current["attachedListenerSets"] = 1.into();
    current["conditions"]
        .as_array_mut()
        .unwrap()
        .insert(0, foreign.clone());
    let change = change(&current, &gateway(&[], &[])).unwrap();
    assert_eq!(change.status["conditions"][0], foreign);
    assert_eq!(change.status["conditions"].as_array().unwrap().len(), 3);
    assert_eq!(
        change.status.get("attachedListenerSets"),
        None,
        "not ours to write"
    );
}

#[test]
fn a_class_says_that_it_is_accepted_and_what_it_can_do() {
    let class = |features: &[&'static str]| {
        Wanted::GatewayClass(Arc::new(GatewayClassStatus {
            conditions: vec![condition(ConditionType::Accepted, true, "Accepted")],
            supported_features: features.to_vec(),
        }))
    };
    let first = change(&pending(), &class(&["Gateway", "HTTPRoute"])).unwrap();
    assert_eq!(
        first.status["supportedFeatures"],
        json!([{"name": "Gateway"}, {"name": "HTTPRoute"}])
    );
    // The second condition of the fixture is not a class's, and so not ours.
    assert_eq!(
        first.status["conditions"][0],
        written("Accepted", "True", "Accepted", NOW)
    );
    let second = change(&first.status, &class(&["Gateway"])).unwrap();
    assert_eq!(
        second.status,
        json!({"supportedFeatures": [{"name": "Gateway"}]})
    );
}
