use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use heddle_resources::{Object, ObjectId};
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::{failure::Failure, *};

/// A part of the query that it is for, an HTTP status and a body.
type Answer = (&'static str, u16, String);

/// An API server that gives out prepared answers in their order, each once and only for a query that it is meant for; otherwise it hangs.
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

    /// How many queries had this part.
    fn count(&self, part: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|query| query.contains(part)).count()
    }

    async fn answer(&self, query: &str) -> Result<Response<Body>, std::convert::Infallible> {
        self.asked.lock().unwrap().push(query.to_owned());
        let answer = {
            let mut script = self.script.lock().unwrap();
            let meant = script.iter().position(|(part, ..)| query.contains(part));
            meant.and_then(|index| script.remove(index))
        };
        let Some((_, status, body)) = answer else {
            return std::future::pending().await;
        };
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
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        422 => "Invalid",
        _ => "InternalError",
    };
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "no", "reason": reason, "code": code}).to_string()
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
    let server = Server::new([
        ("/httproutes?", 404, refusal(404)),
        ("/apis", 200, groups(&[])),
    ]);
    let mut updates = watch_kinds(server.client(), [Kind::HTTPRoute].into());
    let update = updates.next().await.unwrap();
    assert_eq!(update.cluster.http_routes.len(), 0);
    let problems: Vec<String> = update.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "kubernetes: the server does not know HTTPRoute (gateway.networking.k8s.io/v1): there are none; install the CRDs of the Gateway API (chart heddle-crds), they are looked for every few seconds"
        ]
    );
}

fn groups(versions: &[&str]) -> String {
    let name = "gateway.networking.k8s.io";
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    let groups = match versions.as_slice() {
        [] => json!([]),
        [first, ..] => {
            json!([{"name": name, "versions": versions, "preferredVersion": first}])
        }
    };
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}).to_string()
}

/// What a version of the Gateway API has.
fn resources(version: &str, plural: &str, kind: &str) -> String {
    let resource = |name: String| json!({"name": name, "singularName": "", "namespaced": true, "kind": kind, "verbs": ["list"]});
    json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("gateway.networking.k8s.io/{version}"),
        "resources": [resource(plural.to_owned()), resource(format!("{plural}/status"))],
    })
    .to_string()
}

/// Only a guard against hanging, in the time of the test.
async fn next(updates: &mut Updates) -> crate::Update {
    let update = tokio::time::timeout(Duration::from_secs(600), updates.next());
    update.await.expect("it never came").unwrap()
}

fn told(update: &crate::Update) -> Vec<String> {
    update.problems.iter().map(ToString::to_string).collect()
}

#[tokio::test(start_paused = true)]
async fn a_kind_whose_crd_comes_later_appears_within_ten_seconds_without_a_restart() {
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "r", "namespace": "shop", "resourceVersion": "1"}, "spec": {},
    });
    let server = Server::new([]);
    let unknown = (0..8).flat_map(|_| {
        [
            ("/httproutes?", 404, refusal(404)),
            ("/apis", 200, groups(&[])),
        ]
    });
    server.script.lock().unwrap().extend(unknown);
    let mut updates = watch_kinds(server.client(), [Kind::HTTPRoute].into());
    let update = next(&mut updates).await;
    assert_eq!(update.unavailable, [Kind::HTTPRoute].into());
    tokio::time::sleep(Duration::from_secs(40)).await;
    let script = || server.script.lock().unwrap();
    assert!(script().is_empty(), "it looks again and again");
    script().extend([("/httproutes?", 200, event("ADDED", &route) + &bookmark("2"))]);
    let installed = tokio::time::Instant::now();
    let update = next(&mut updates).await;
    assert!(installed.elapsed() < Duration::from_secs(10));
    assert_eq!(update.cluster.http_routes.len(), 1);
    assert_eq!((told(&update).len(), update.unavailable.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_served_in_another_version_is_told_with_it() {
    let server = Server::new([
        ("/grpcroutes?", 404, refusal(404)),
        (
            "gateway.networking.k8s.io/v1beta1",
            200,
            resources("v1beta1", "httproutes", "HTTPRoute"),
        ),
        (
            "gateway.networking.k8s.io/v1alpha2",
            200,
            resources("v1alpha2", "grpcroutes", "GRPCRoute"),
        ),
        ("/apis", 200, groups(&["v1beta1", "v1alpha2"])),
    ]);
    let mut updates = watch_kinds(server.client(), [Kind::GRPCRoute].into());
    let update = next(&mut updates).await;
    assert_eq!(
        told(&update),
        [
            "kubernetes: the server knows GRPCRoute in v1alpha2 only, not in gateway.networking.k8s.io/v1: none is read; install the CRDs of the Gateway API (chart heddle-crds), they are looked for every few seconds"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_changes_nothing_but_is_told_until_it_is_back() {
    let list = event("ADDED", &service("cart", "1")) + &bookmark("3");
    let server = Server::new([
        ("sendInitialEvents=true", 200, list.clone()),
        ("resourceVersion=3", 403, refusal(403)),
        ("resourceVersion=3", 403, refusal(403)),
        ("sendInitialEvents=true", 403, refusal(403)),
        ("sendInitialEvents=true", 200, list),
    ]);
    let mut updates = watch_kinds(server.client(), [Kind::Service].into());
    assert!(told(&next(&mut updates).await).is_empty());
    let update = next(&mut updates).await;
    assert_eq!(
        told(&update),
        [
            "kubernetes: cannot watch Service: no; let the control plane's ClusterRole list and watch services of the core group; what was known stays in effect"
        ]
    );
    assert_eq!(
        (update.cluster.services.len(), update.changes.len()),
        (1, 0)
    );
    assert_eq!(update.unavailable, [Kind::Service].into());
    let update = next(&mut updates).await;
    assert_eq!((told(&update).len(), update.unavailable.len()), (0, 0));
    assert_eq!(
        (update.cluster.services.len(), update.changes.len()),
        (1, 0),
        "what comes back unchanged is no change"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_breaks_once_is_resumed_where_it_was_and_no_problem() {
    let server = Server::new([
        (
            "sendInitialEvents=true",
            200,
            event("ADDED", &service("cart", "1")) + &bookmark("3"),
        ),
        ("resourceVersion=3", 503, refusal(503)),
        (
            "resourceVersion=3",
            200,
            event("ADDED", &service("pay", "4")),
        ),
    ]);
    let mut updates = watch_kinds(server.client(), [Kind::Service].into());
    let mut update = next(&mut updates).await;
    while update.cluster.services.len() < 2 {
        assert!(told(&update).is_empty());
        update = next(&mut updates).await;
    }
    assert!(told(&update).is_empty());
    assert_eq!(server.count("sendInitialEvents=true"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_keeps_the_first_update_from_coming_can_be_asked() {
    let server = Server::new([("sendInitialEvents=true", 403, refusal(403))]);
    let updates = watch_kinds(server.client(), [Kind::Pod].into());
    let obstacles = updates.obstacles();
    assert!(obstacles.now().is_empty());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let told: Vec<String> = obstacles.now().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "kubernetes: cannot watch Pod: no; let the control plane's ClusterRole list and watch pods of the core group; nothing is served before it can be listed"
        ]
    );
}

/// Answers for one look at the CRDs.
fn crds(version: &str) -> Vec<Answer> {
    let crd = |name: &str| {
        json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": name, "annotations": {"gateway.networking.k8s.io/bundle-version": version}},
        })
        .to_string()
    };
    let known = ["gatewayclasses.", "gateways.", "grpcroutes.", "httproutes."];
    let mut answers: Vec<Answer> = known.map(|name| (name, 200, crd(name))).into();
    answers.push(("referencegrants.", 404, refusal(404)));
    answers
}

#[tokio::test(start_paused = true)]
async fn the_release_of_the_gateway_api_is_told_with_the_classes_as_changed() {
    let class = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
        "metadata": {"name": "heddle", "resourceVersion": "1"}, "spec": {"controllerName": "heddle.dev/gateway-controller"},
    });
    let server = Server::new([]);
    let list = event("ADDED", &class) + &bookmark("2");
    let script = || server.script.lock().unwrap();
    script().push_back(("/gatewayclasses?", 200, list));
    script().extend(crds("v1.3.0"));
    let mut updates = watch_kinds(server.client(), [Kind::GatewayClass].into());
    // The first update waits for both, so that no class says first this, then that.
    let update = next(&mut updates).await;
    assert_eq!(update.cluster.gateway_classes.len(), 1);
    let telling = "kubernetes: the CRDs of the Gateway API are of v1.3.0 (gatewayclasses.gateway.networking.k8s.io and 3 more)";
    assert!(told(&update)[0].starts_with(telling), "{:?}", told(&update));
    script().extend(crds("v1.7.0"));
    let update = next(&mut updates).await;
    assert!(told(&update).is_empty());
    let changed: Vec<String> = update.changes.iter().map(ToString::to_string).collect();
    assert_eq!(changed, ["GatewayClass heddle"]);
    script().extend([("gatewayclasses.", 500, refusal(500))]);
    let update = next(&mut updates).await;
    assert!(
        update.cluster.gateway_api.is_some(),
        "a server that is away changes nothing"
    );
    script().extend([("gatewayclasses.", 403, refusal(403))]);
    let update = next(&mut updates).await;
    assert_eq!(
        update.cluster.gateway_api, None,
        "nothing is claimed that is not known"
    );
    assert!(told(&update)[0].contains("get the customresourcedefinitions gatewayclasses.gateway"));
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
        failure: Failure::Other("no answer".to_owned()),
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
