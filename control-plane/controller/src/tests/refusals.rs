//! From a client's NACK to the status of the object.

use heddle_proto::type_url::ROUTE_CONFIGURATION;
use heddle_resolve::ConditionType;
use heddle_snapshot::Role;
use heddle_xds_server::{
    server::Notice,
    session::{Event, Refusal},
};

use super::*;

const ROUTE: &str = r#"
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: good}]
  rules: [{backendRefs: [{name: good, port: 80}]}]
"#;

/// What is said about the route being programmed, if anything.
fn programmed(running: &Running) -> Option<(bool, String)> {
    let round = running.board.round()?;
    let (_, route) = round.statuses.http_routes.first_key_value()?;
    let mut conditions = route.parents[0].conditions.iter();
    let condition = conditions.find(|condition| condition.r#type == ConditionType::Programmed)?;
    Some((condition.status, condition.message.clone()))
}

async fn until(running: &Running, holds: impl Fn(Option<(bool, String)>) -> bool) {
    let wait = async {
        while !holds(programmed(running)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, wait).await;
    in_time.expect("it never came to that");
}

#[tokio::test]
async fn a_refusal_changes_the_status_of_its_object_and_makes_no_snapshot() {
    let mut running = Running::start(&[("route.yaml", ROUTE)]).await;
    let before = programmed(&running);
    let resource = {
        let snapshot = running.snapshots.borrow_and_update();
        Arc::clone(&snapshot.types[ROUTE_CONFIGURATION]["shop/good:80"])
    };
    let refusal = Arc::new(Refusal {
        type_url: ROUTE_CONFIGURATION,
        resource: Arc::clone(&resource.name),
        version: resource.version.clone(),
        origin: resource.origin.clone(),
        message: "too good".into(),
    });
    let note = |event| {
        running.board.note(&Notice {
            stream: 1,
            node: "node-a".into(),
            role: Role::Node,
            event,
        });
    };
    note(Event::Refused(Arc::clone(&refusal)));
    until(&running, |said| {
        said.is_some_and(|(status, message)| !status && message.contains("too good"))
    })
    .await;
    note(Event::Cleared(refusal));
    until(&running, |said| said == before).await;
    assert!(!running.snapshots.has_changed().unwrap());
}
