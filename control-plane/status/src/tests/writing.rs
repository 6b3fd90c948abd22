//! One status, written to an API server.

use std::sync::Arc;

use heddle_resolve::{ParentRef, ParentStatus, RouteStatus};
use heddle_resources::{Kind, ObjectId};

use super::{
    server::{Fault, Server},
    *,
};
use crate::{Outcome, WriteError, Writer};

pub(super) const PATH: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/cart";

pub(super) fn id(name: &str) -> ObjectId {
    ObjectId {
        kind: Kind::HTTPRoute,
        namespace: "shop".into(),
        name: name.into(),
    }
}

pub(super) fn object(name: &str, generation: i64) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": generation},
        "spec": {"parentRefs": [{"name": "web"}]},
    })
}

pub(super) fn route_status(accepted: bool) -> RouteStatus {
    let reason = if accepted {
        "Accepted"
    } else {
        "NoMatchingParent"
    };
    RouteStatus {
        parents: vec![ParentStatus {
            parent_ref: ParentRef {
                name: "web".to_owned(),
                ..ParentRef::default()
            },
            conditions: vec![condition(ConditionType::Accepted, accepted, reason)],
        }],
    }
}

fn wanted(accepted: bool) -> Wanted {
    Wanted::Route(Arc::new(route_status(accepted)))
}

fn foreign() -> Value {
    json!({"parents": [{"parentRef": {"name": "web"}, "controllerName": "example.com/other", "conditions": []}]})
}

fn started(generation: i64) -> (Server, Writer) {
    let server = Server::new();
    server.put(PATH, object("cart", generation));
    let writer = Writer::new(server.client(), OURS, "pod-1");
    (server, writer)
}

#[tokio::test]
async fn a_status_is_written_once_and_only_through_its_subresource() {
    let (server, writer) = started(3);
    let first = writer.write(&id("cart"), &wanted(true)).await.unwrap();
    assert_eq!(first, Outcome::Written(vec![]));
    let second = writer.write(&id("cart"), &wanted(true)).await.unwrap();
    assert_eq!(second, Outcome::Unchanged);
    assert_eq!(server.count("PATCH"), 1);
    assert_eq!(server.count(&format!("PATCH {PATH}/status")), 1);
    let entry = &server.get(PATH)["status"]["parents"][0];
    assert_eq!(
        (&entry["controllerName"], &entry["parentRef"]),
        (&json!(OURS), &json!({"name": "web"}))
    );
    let time = entry["conditions"][0]["lastTransitionTime"]
        .as_str()
        .unwrap();
    assert_eq!(
        time.len(),
        THEN.len(),
        "{time}: whole seconds, as metav1.Time has them"
    );
}

#[tokio::test]
async fn what_another_controller_writes_in_between_is_kept() {
    let (server, writer) = started(3);
    let other = ("PATCH", Fault::Write("status", foreign()));
    server.state().faults.push(other);
    let outcome = writer.write(&id("cart"), &wanted(true)).await.unwrap();
    assert_eq!(outcome, Outcome::Written(vec![]));
    let parents = server.get(PATH)["status"]["parents"].clone();
    assert_eq!(parents[0], foreign()["parents"][0]);
    assert_eq!(parents[1]["controllerName"], OURS);
    assert_eq!((server.count("GET"), server.count("PATCH")), (2, 2));
}

#[tokio::test]
async fn conflicts_without_end_are_a_failure() {
    let (server, writer) = started(3);
    let conflicts = (0..5).map(|_| ("PATCH", Fault::Status(409)));
    server.state().faults.extend(conflicts);
    let error = writer.write(&id("cart"), &wanted(true)).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflicts));
    assert_eq!(server.count("PATCH"), 5);
}

#[tokio::test]
async fn an_object_that_is_gone_or_newer_is_left_alone() {
    let (server, writer) = started(4);
    let outdated = writer.write(&id("cart"), &wanted(true)).await.unwrap();
    assert_eq!(outdated, Outcome::Outdated);
    let gone = writer.write(&id("none"), &wanted(true)).await.unwrap();
    assert_eq!(gone, Outcome::Gone);
    server.put(PATH, object("cart", 3));
    server.state().faults.push(("PATCH", Fault::Status(404)));
    let gone = writer.write(&id("cart"), &wanted(true)).await.unwrap();
    assert_eq!(gone, Outcome::Gone);
}

#[tokio::test]
async fn a_refusal_is_told_in_the_servers_words() {
    let (server, writer) = started(3);
    server.state().faults.push(("PATCH", Fault::Status(403)));
    let error = writer.write(&id("cart"), &wanted(true)).await.unwrap_err();
    assert!(error.to_string().contains("no"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up() {
    let (server, writer) = started(3);
    server.state().faults.push(("GET", Fault::Hang));
    let error = writer.write(&id("cart"), &wanted(true)).await.unwrap_err();
    assert!(matches!(error, WriteError::Timeout));
}

#[tokio::test]
async fn a_turn_is_told_in_an_event_on_the_object() {
    let (server, writer) = started(3);
    let events = "/apis/events.k8s.io/v1/namespaces/shop/events";
    let outcome = writer.write(&id("cart"), &wanted(false)).await.unwrap();
    assert!(matches!(outcome, Outcome::Written(turned) if turned.len() == 1));
    let told: Vec<Value> = {
        let state = server.state();
        let objects = state.objects.iter();
        objects
            .filter(|(path, _)| path.starts_with(events))
            .map(|(_, event)| event.clone())
            .collect()
    };
    assert_eq!(told.len(), 1);
    let event = &told[0];
    assert_eq!(
        (&event["type"], &event["reason"]),
        (&json!("Warning"), &json!("NoMatchingParent"))
    );
    assert_eq!(event["note"], "parent Gateway web: Accepted is False");
    assert_eq!(event["regarding"]["uid"], "uid-cart");
    assert_eq!(event["reportingController"], OURS);
    // An Event that cannot be recorded is no reason to write the status again.
    server.state().faults.push(("events", Fault::Status(403)));
    let outcome = writer.write(&id("cart"), &wanted(true)).await.unwrap();
    assert!(matches!(outcome, Outcome::Written(turned) if !turned[0].is_bad()));
}
