//! `status.parents` of routes.

use std::sync::Arc;

use heddle_resolve::{ParentRef, ParentStatus, RouteStatus};

use super::*;

fn service(group: &str, name: &str) -> ParentRef {
    ParentRef {
        group: Some(group.to_owned()),
        kind: Some("Service".to_owned()),
        name: name.to_owned(),
        ..ParentRef::default()
    }
}

fn route(parents: impl IntoIterator<Item = (ParentRef, Vec<Condition>)>) -> Wanted {
    let parents = parents
        .into_iter()
        .map(|(parent_ref, conditions)| ParentStatus {
            parent_ref,
            conditions,
        });
    Wanted::Route(Arc::new(RouteStatus {
        parents: parents.collect(),
    }))
}

fn accepted() -> Vec<Condition> {
    vec![condition(ConditionType::Accepted, true, "Accepted")]
}

fn entry(controller: &str, parent: Value, conditions: Value) -> Value {
    json!({"parentRef": parent, "controllerName": controller, "conditions": conditions})
}

fn status(entries: impl IntoIterator<Item = Value>) -> Value {
    json!({"parents": entries.into_iter().collect::<Vec<_>>()})
}

fn parents(change: &Patch) -> &Vec<Value> {
    change.status["parents"].as_array().unwrap()
}

#[test]
fn a_route_without_a_status_gets_its_entries_with_the_present_time() {
    let wanted = route([(service("", "cart"), accepted())]);
    let change = change(&Value::Null, &wanted).unwrap();
    let parent = json!({"group": "", "kind": "Service", "name": "cart"});
    let conditions = json!([written("Accepted", "True", "Accepted", NOW)]);
    assert_eq!(change.status, status([entry(OURS, parent, conditions)]));
    assert_eq!(
        lines(&change),
        [""; 0],
        "good from the beginning is no news"
    );
}

#[test]
fn a_parent_is_echoed_exactly_as_the_spec_writes_it() {
    let full = ParentRef {
        namespace: Some("shop".to_owned()),
        section_name: Some("http".to_owned()),
        port: Some(80),
        ..service("core", "cart")
    };
    let short = ParentRef {
        name: "web".to_owned(),
        ..ParentRef::default()
    };
    let change = change(
        &Value::Null,
        &route([(full, accepted()), (short, accepted())]),
    )
    .unwrap();
    let echoed: Vec<&Value> = parents(&change)
        .iter()
        .map(|entry| &entry["parentRef"])
        .collect();
    let full = json!({"group": "core", "kind": "Service", "namespace": "shop", "name": "cart", "sectionName": "http", "port": 80});
    assert_eq!(echoed, [&full, &json!({"name": "web"})]);
}

#[test]
fn a_status_in_order_needs_nothing() {
    let parent = json!({"group": "", "kind": "Service", "name": "cart"});
    let conditions = json!([written("Accepted", "True", "Accepted", THEN)]);
    let current = status([entry(OURS, parent, conditions)]);
    assert_eq!(
        change(&current, &route([(service("", "cart"), accepted())])),
        None
    );
    assert_eq!(change(&Value::Null, &route([])), None);
    assert_eq!(change(&status([]), &route([])), None);
}

#[test]
fn the_time_stays_where_the_status_stays_and_moves_where_it_turns() {
    let parent = json!({"group": "", "kind": "Service", "name": "cart"});
    let known = json!([
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": THEN, "observedGeneration": 2},
        {"type": "ResolvedRefs", "status": "True", "reason": "ResolvedRefs", "message": "", "lastTransitionTime": THEN, "observedGeneration": 2},
    ]);
    let current = status([entry(OURS, parent, known)]);
    let mut unresolved = condition(ConditionType::ResolvedRefs, false, "BackendNotFound");
    unresolved.message = "no Service x".to_owned();
    let mut conditions = accepted();
    conditions.push(unresolved);
    let change = change(&current, &route([(service("", "cart"), conditions)])).unwrap();
    let stated = &parents(&change)[0]["conditions"];
    assert_eq!(stated[0], written("Accepted", "True", "Accepted", THEN));
    assert_eq!(stated[1]["lastTransitionTime"], NOW);
    assert_eq!(stated[1]["message"], "no Service x");
    assert_eq!(
        lines(&change),
        ["parent Service cart: ResolvedRefs is False: no Service x"]
    );
    assert!(change.transitions[0].is_bad());
}

#[test]
fn another_reason_or_message_is_written_and_is_no_transition_of_the_status() {
    let parent = json!({"group": "", "kind": "Service", "name": "cart"});
    let known = json!([written("Accepted", "False", "NoMatchingParent", THEN)]);
    let current = status([entry(OURS, parent, known)]);
    let refused = vec![condition(
        ConditionType::Accepted,
        false,
        "NotAllowedByListeners",
    )];
    let change = change(&current, &route([(service("", "cart"), refused)])).unwrap();
    let stated = &parents(&change)[0]["conditions"][0];
    assert_eq!(stated["lastTransitionTime"], THEN);
    assert_eq!(stated["reason"], "NotAllowedByListeners");
    // Yet whoever reads Events wants to know that it is refused for another reason now.
    assert_eq!(lines(&change), ["parent Service cart: Accepted is False"]);
}

#[test]
fn back_from_bad_to_good_is_told() {
    let parent = json!({"group": "", "kind": "Service", "name": "cart"});
    let known = json!([written("Accepted", "False", "NoMatchingParent", THEN)]);
    let current = status([entry(OURS, parent, known)]);
    let change = change(&current, &route([(service("", "cart"), accepted())])).unwrap();
    assert_eq!(lines(&change), ["parent Service cart: Accepted is True"]);
    assert!(!change.transitions[0].is_bad());
}

#[test]
fn another_way_to_write_the_parent_keeps_the_time() {
    for (known, wanted) in [
        (
            json!({"group": "core", "kind": "Service", "name": "cart"}),
            service("", "cart"),
        ),
        (
            json!({"group": "", "kind": "Service", "name": "cart"}),
            service("core", "cart"),
        ),
        (
            json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "web", "namespace": "shop"}),
            ParentRef {
                name: "web".to_owned(),
                ..ParentRef::default()
            },
        ),
    ] {
        let conditions = json!([written("Accepted", "True", "Accepted", THEN)]);
        let current = status([entry(OURS, known.clone(), conditions)]);
        let change = change(&current, &route([(wanted.clone(), accepted())])).unwrap();
        assert_eq!(parents(&change).len(), 1);
        let entry = &parents(&change)[0];
        assert_eq!(
            entry["conditions"][0]["lastTransitionTime"], THEN,
            "{known}"
        );
        assert_eq!(entry["parentRef"], serde_json::to_value(&wanted).unwrap());
    }
}

#[test]
fn one_parent_in_two_ways_has_two_entries() {
    let conditions = json!([written("Accepted", "True", "Accepted", THEN)]);
    let core = json!({"group": "core", "kind": "Service", "name": "cart"});
    let current = status([entry(OURS, core.clone(), conditions)]);
    let wanted = route([
        (service("", "cart"), accepted()),
        (service("core", "cart"), accepted()),
    ]);
    let change = change(&current, &wanted).unwrap();
    let entries = parents(&change);
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["parentRef"], core, "it stays where it was");
    assert_eq!(entries[0]["conditions"][0]["lastTransitionTime"], THEN);
    assert_eq!(entries[1]["conditions"][0]["lastTransitionTime"], NOW);
}

#[test]
fn entries_of_other_controllers_stay_as_they_are_and_where_they_are() {
    let parent = json!({"group": "", "kind": "Service", "name": "cart"});
    let foreign = json!({
        "parentRef": parent, "controllerName": "example.com/other", "unknown": {"field": [1, 2]},
        "conditions": [{"type": "Accepted", "status": "Unknown"}],
    });
    let old = entry(OURS, json!({"name": "gone"}), json!([]));
    let current = status([old, foreign.clone()]);
    let first = change(&current, &route([(service("", "cart"), accepted())])).unwrap();
    let entries = parents(&first);
    assert_eq!((&entries[0], entries.len()), (&foreign, 2));
    assert_eq!(entries[1]["controllerName"], OURS);
    // Nothing of ours: ours goes, theirs stays.
    let last = change(&status(entries.clone()), &route([])).unwrap();
    assert_eq!(parents(&last), std::slice::from_ref(&foreign));
    assert_eq!(change(&status([foreign]), &route([])), None);
}

#[test]
fn the_order_that_is_there_is_no_reason_to_write() {
    let entries = ["b", "a"].map(|name| {
        let parent = json!({"group": "", "kind": "Service", "name": name});
        entry(
            OURS,
            parent,
            json!([written("Accepted", "True", "Accepted", THEN)]),
        )
    });
    let wanted = route([
        (service("", "a"), accepted()),
        (service("", "b"), accepted()),
    ]);
    assert_eq!(change(&status(entries), &wanted), None);
}

#[test]
fn a_condition_of_ours_that_no_longer_applies_goes_and_foreign_ones_stay() {
    let parent = json!({"group": "", "kind": "Service", "name": "cart"});
    let foreign = json!({"type": "example.com/Ready", "status": "False", "reason": "No", "message": "m", "lastTransitionTime": THEN});
    let known = json!([
        foreign,
        written("PartiallyInvalid", "True", "UnsupportedValue", THEN),
        written("Accepted", "True", "Accepted", THEN),
        written("Accepted", "False", "Twice", THEN),
    ]);
    let current = status([entry(OURS, parent, known)]);
    let change = change(&current, &route([(service("", "cart"), accepted())])).unwrap();
    let stated = json!([foreign, written("Accepted", "True", "Accepted", THEN)]);
    assert_eq!(parents(&change)[0]["conditions"], stated);
}

#[test]
fn what_the_api_would_refuse_for_its_length_is_shortened() {
    let parent = json!({"group": "", "kind": "Service", "name": "cart"});
    let foreign =
        (0..8).map(|number| json!({"type": format!("example.com/{number}"), "status": "True"}));
    let current = status([entry(OURS, parent, foreign.collect())]);
    let mut refused = condition(ConditionType::Accepted, false, "UnsupportedValue");
    refused.message = "ä".repeat(40_000);
    let wanted = route([(service("", "cart"), vec![refused])]);
    let change = patch(&current, &wanted, &context()).unwrap();
    let conditions = parents(&change)[0]["conditions"].as_array().unwrap();
    assert_eq!(conditions.len(), 8);
    assert_eq!(conditions[7]["type"], "Accepted");
    assert_eq!(
        conditions[7]["message"].as_str().unwrap().chars().count(),
        32_768
    );
    let event = crate::events::event(&change.transitions[0]);
    assert!(event.note.unwrap().len() <= 1024);
}

#[test]
fn a_status_of_a_strange_shape_is_replaced() {
    for current in [
        json!(7),
        json!({"parents": "none"}),
        json!({"parents": [7, null, {}]}),
    ] {
        let change = patch(
            &current,
            &route([(service("", "cart"), accepted())]),
            &context(),
        );
        let entries = parents(change.as_ref().unwrap()).clone();
        assert_eq!(entries.last().unwrap()["controllerName"], OURS, "{current}");
    }
}
