use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use heddle_resources::{Object, ObjectId};
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::*;

/// A part of the query that it is for, an HTTP status and a body.
type Answer = (&'static str, u16, String);

/// An API server that gives out prepared answers in their order, each only for the query that it is meant for; then it hangs.
#[derive(Clone)]
struct Server {
    script: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(script: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            script: Arc::new(Mutex::new(script.into_iter().collect())),
            asked: Arc::default(),
        }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.answer(&request.uri().to_string()).await }
        });
        Client::new(service, "default")
    }

    async fn answer(&self, query: &str) -> Result<Response<Body>, std::convert::Infallible> {
        self.asked.lock().unwrap().push(query.to_owned());
        let Some((part, status, body)) = self.script.lock().unwrap().pop_front() else {
            return std::future::pending().await;
        };
        assert!(query.contains(part), "{query} instead of {part}");
        Ok(Response::builder()
            .status(status)
            .body(Body::from(body.into_bytes()))
            .unwrap())
    }
}

fn service(name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": version, "managedFields": [{"manager": "m"}]},
        "spec": {"clusterIP": "10.96.0.1"},
    })
}

fn event(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn bookmark(version: &str) -> String {
    let metadata =
        json!({"resourceVersion": version, "annotations": {"k8s.io/initial-events-end": "true"}});
    event(
        "BOOKMARK",
        &json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata}),
    )
}

fn refusal(code: u16) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": "Invalid", "code": code}).to_string()
}

fn id(name: &str) -> ObjectId {
    ObjectId {
        kind: Kind::Service,
        namespace: "shop".into(),
        name: name.into(),
    }
}

#[tokio::test]
async fn a_kind_is_listed_by_a_streaming_list_and_then_watched() {
    let server = Server::new([
        (
            "sendInitialEvents=true",
            200,
            event("ADDED", &service("cart", "1"))
                + &event("ADDED", &service("pay", "2"))
                + &bookmark("3"),
        ),
        (
            "resourceVersion=3",
            200,
            event("DELETED", &service("pay", "4")) + &event("MODIFIED", &service("cart", "5")),
        ),
    ]);
    let mut updates = watch_kinds(server.client(), [Kind::Service].into());
    let first = updates.next().await.unwrap();
    assert!(first.changes.is_superset(&[id("cart"), id("pay")].into()));
    let mut last = first;
    while last.cluster.services.len() > 1 {
        last = updates.next().await.unwrap();
    }
    let Some(Object::Service(cart)) = last.cluster.get(&id("cart")) else {
        panic!("no cart");
    };
    assert_eq!(
        cart.metadata.managed_fields.as_deref().unwrap_or_default(),
        []
    );
    assert!(last.problems.is_empty());
}

#[tokio::test]
async fn a_server_without_streaming_lists_is_asked_for_pages() {
    let list = json!({
        "apiVersion": "v1", "kind": "ServiceList", "metadata": {"resourceVersion": "7"}, "items": [service("cart", "1")]
    });
    let server = Server::new([
        ("sendInitialEvents=true", 422, refusal(422)),
        ("limit=", 200, list.to_string()),
    ]);
    let mut updates = watch_kinds(server.client(), [Kind::Service].into());
    let update = updates.next().await.unwrap();
    assert_eq!(update.changes, [id("cart")].into());
}

#[tokio::test]
async fn a_kind_that_the_server_does_not_know_counts_as_empty_and_is_told() {
    let server = Server::new([("/httproutes?", 404, refusal(404))]);
    let mut updates = watch_kinds(server.client(), [Kind::HTTPRoute].into());
    let update = updates.next().await.unwrap();
    assert_eq!(update.cluster.http_routes.len(), 0);
    let problems: Vec<String> = update.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "kubernetes: the server does not know HTTPRoute (gateway.networking.k8s.io/v1): there are none"
        ]
    );
}

fn object(name: &str) -> Report {
    let service = serde_json::from_value::<Service>(service(name, "1")).unwrap();
    Report::Object {
        object: service.into(),
        listing: true,
    }
}

fn take(collector: &mut Collector, reports: impl IntoIterator<Item = Report>) {
    reports
        .into_iter()
        .for_each(|report| collector.take(report));
}

#[test]
fn nothing_is_told_before_every_kind_is_known() {
    let mut collector = Collector::new([Kind::Service, Kind::NetworkPolicy].into());
    take(
        &mut collector,
        [
            Report::Listing(Kind::Service),
            object("cart"),
            Report::Listed(Kind::Service),
        ],
    );
    assert!(collector.update().is_none());
    let forbidden = Report::Failed {
        kind: Kind::NetworkPolicy,
        error: "forbidden".to_owned(),
        unknown: false,
    };
    take(&mut collector, [forbidden]);
    assert!(
        collector.update().is_none(),
        "a policy that cannot be listed is not one that does not exist"
    );
    take(
        &mut collector,
        [
            Report::Listing(Kind::NetworkPolicy),
            Report::Listed(Kind::NetworkPolicy),
        ],
    );
    let update = collector.update().unwrap();
    assert_eq!(
        (update.changes, update.problems.len()),
        ([id("cart")].into(), 0)
    );
}

#[test]
fn a_second_list_removes_what_it_does_not_name_and_changes_nothing_else() {
    let mut collector = Collector::new([Kind::Service].into());
    take(
        &mut collector,
        [
            Report::Listing(Kind::Service),
            object("a"),
            object("b"),
            Report::Listed(Kind::Service),
        ],
    );
    assert!(collector.update().is_some());
    take(
        &mut collector,
        [Report::Listing(Kind::Service), object("b")],
    );
    assert!(
        collector.update().is_none(),
        "a list that is not complete removes nothing"
    );
    take(&mut collector, [Report::Listed(Kind::Service)]);
    assert_eq!(collector.update().unwrap().changes, [id("a")].into());
}

#[test]
fn an_object_that_becomes_unreadable_keeps_its_last_good_version() {
    let mut collector = Collector::new([Kind::Service].into());
    take(
        &mut collector,
        [
            Report::Listing(Kind::Service),
            object("cart"),
            Report::Listed(Kind::Service),
        ],
    );
    assert!(collector.update().is_some());
    let unreadable = Report::Unreadable {
        id: id("cart"),
        error: "no".to_owned(),
        listing: false,
    };
    take(&mut collector, [unreadable]);
    let update = collector.update().unwrap();
    assert_eq!(
        (update.changes.len(), update.cluster.services.len()),
        (0, 1)
    );
    let told = update.problems[0].to_string();
    assert_eq!(
        told,
        "kubernetes Service shop/cart: cannot be read: no; the last good version stays in effect"
    );
    take(&mut collector, [Report::Gone(id("cart"))]);
    let update = collector.update().unwrap();
    assert_eq!(
        (update.cluster.services.len(), update.problems.len()),
        (0, 0)
    );
}
