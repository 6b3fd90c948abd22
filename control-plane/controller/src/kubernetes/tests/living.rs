//! The whole control plane beside its ports, while the API server has its troubles.

use std::{sync::Arc, time::Duration};

use clap::Parser;
use heddle_issuer::Issuer;
use heddle_snapshot::Snapshot;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{super::Replica, api::ApiServer};
use crate::{
    arguments::Arguments,
    board::Board,
    metrics::Metrics,
    pipeline::{self, Pipeline},
};

const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/split";

struct Living {
    server: ApiServer,
    board: Board,
    metrics: Arc<Metrics>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    leading: watch::Receiver<bool>,
    _replica: Replica,
    _ca: TempDir,
    _stop: CancellationToken,
}

impl Living {
    async fn start(server: ApiServer) -> Self {
        let arguments = Arguments::parse_from(["c", "--kubernetes"]);
        let stop = CancellationToken::new();
        let ca = TempDir::new().unwrap();
        let trust_domain = arguments.trust_domain.clone();
        let issuer = Issuer::open(ca.path(), trust_domain, heddle_issuer::Settings::default());
        let (board, metrics) = (
            Board::new(arguments.node_proxy_identity()),
            Arc::new(Metrics::new()),
        );
        let concerns = board.concerns().clone();
        let client = server.client();
        let replica = Replica::with(client, &arguments, concerns, stop.clone());
        let source = pipeline::source(&arguments, Some(&replica.client)).await;
        let source = source.unwrap();
        board.wait_for(source.obstacles());
        let pipeline = Pipeline::new(
            &arguments,
            Arc::new(issuer.unwrap()),
            board.clone(),
            Arc::clone(&metrics),
        );
        replica.write_statuses(pipeline.facts());
        let snapshots = pipeline.snapshots();
        tokio::spawn(pipeline.run(source));
        let (ready, serving) = (board.clone(), board.clone());
        // As the program does it.
        tokio::spawn(async move {
            ready.ready().await;
            serving.serving(true);
        });
        Self {
            server,
            board,
            metrics,
            snapshots,
            leading: replica.leading(),
            _replica: replica,
            _ca: ca,
            _stop: stop,
        }
    }

    fn problems(&self) -> Vec<String> {
        let round = self.board.round();
        let problems = round.map(|round| round.problems.iter().cloned().collect());
        problems.unwrap_or_default()
    }

    fn has(&self, name: &str) -> bool {
        let snapshot = self.snapshots.borrow();
        snapshot
            .types
            .values()
            .any(|resources| resources.keys().any(|key| **key == *name))
    }

    fn accepted(&self) -> Value {
        self.server.get(ROUTE)["status"]["parents"][0]["conditions"][0]["status"].clone()
    }
}

/// Lets some time go by, in which everything runs that can.
async fn seconds(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn service(name: &str, ip: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": ip, "ports": [{"port": 80, "name": "http"}]},
    })
}

/// A cluster with a Service and a route.
fn cluster() -> ApiServer {
    let server = ApiServer::default();
    let path = "/api/v1/namespaces/shop/services/cart";
    server.put(path, service("cart", "10.96.0.1"));
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "split", "namespace": "shop", "generation": 1, "uid": "u"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "cart"}],
            "rules": [{"backendRefs": [{"name": "cart", "port": 80}]}],
        },
    });
    server.put(ROUTE, route);
    server
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_only_after_every_kind_was_listed_and_says_which_is_missing() {
    let server = cluster();
    server.with(|state| state.refused = Some("/networkpolicies"));
    let living = Living::start(server).await;
    seconds(30).await;
    let expected = "kubernetes: cannot watch NetworkPolicy: no; let the control plane's ClusterRole list and watch networkpolicies of the group networking.k8s.io; nothing is served before it can be listed";
    assert_eq!(living.board.unready(), Some(vec![expected.to_owned()]));
    assert!(living.snapshots.borrow().types.is_empty());
    living.server.with(|state| state.refused = None);
    seconds(10).await;
    assert_eq!(living.board.unready(), None);
    assert!(living.has("shop/cart:80"));
}

#[tokio::test(start_paused = true)]
async fn without_the_gateway_api_services_are_meshed_and_its_kinds_come_with_their_crds() {
    let server = cluster();
    let kinds = vec![
        "gatewayclasses",
        "gateways",
        "httproutes",
        "grpcroutes",
        "referencegrants",
    ];
    server.with(|state| state.unknown = kinds);
    let living = Living::start(server).await;
    seconds(1).await;
    assert_eq!(living.board.unready(), None);
    assert!(living.has("shop/cart:80"));
    let problems = living.problems();
    assert_eq!(problems.len(), 5, "{problems:?}");
    let told = "kubernetes: the server does not know HTTPRoute (gateway.networking.k8s.io/v1): there are none; install the CRDs of the Gateway API";
    assert!(problems.iter().any(|problem| problem.starts_with(told)));
    let gauge = |kind: &str, value: u8| {
        let line =
            format!("heddle_control_plane_source_kind_available{{kind=\"{kind}\"}} {value}\n");
        living.metrics.text().contains(&line)
    };
    assert!(gauge("HTTPRoute", 0) && gauge("Service", 1));
    living.server.with(|state| state.unknown.clear());
    seconds(10).await;
    assert_eq!(living.problems(), [""; 0]);
    assert!(gauge("HTTPRoute", 1));
    assert_eq!(living.accepted(), "True");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_costs_the_lead_and_nothing_else() {
    let mut living = Living::start(cluster()).await;
    living.leading.wait_for(|leads| *leads).await.unwrap();
    seconds(5).await;
    assert_eq!(living.accepted(), "True");
    let before = Arc::clone(&living.snapshots.borrow());
    living.server.fail(503);
    seconds(11).await;
    assert!(!*living.leading.borrow());
    let written = living.server.count("PATCH");
    seconds(49).await;
    assert_eq!(living.board.unready(), None, "it stays ready");
    let versions = |snapshot: &Snapshot| {
        let types = snapshot.types.iter();
        let all = types.flat_map(|(_, resources)| resources.values());
        all.map(|resource| resource.version.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(versions(&before), versions(&living.snapshots.borrow()));
    assert_eq!(living.server.count("PATCH"), written, "nobody writes");
    let told = "kubernetes: cannot watch Pod: no; what was known stays in effect";
    assert!(
        living.problems().contains(&told.to_owned()),
        "{:?}",
        living.problems()
    );
    living.server.fail(0);
    let path = "/api/v1/namespaces/shop/services/pay";
    living.server.put(path, service("pay", "10.96.0.2"));
    seconds(15).await;
    assert_eq!(living.problems(), [""; 0]);
    assert!(living.has("shop/pay:80"));
    assert!(*living.leading.borrow());
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_taken_away_while_it_runs_changes_nothing_and_is_told() {
    let living = Living::start(cluster()).await;
    seconds(5).await;
    living
        .server
        .with(|state| state.refused = Some("/v1/httproutes"));
    // The server ends the watches now and then.
    living.server.fail(0);
    seconds(15).await;
    let told = "kubernetes: cannot watch HTTPRoute: no; let the control plane's ClusterRole list and watch httproutes of the group gateway.networking.k8s.io; what was known stays in effect";
    assert_eq!(living.problems(), [told]);
    assert!(living.has("shop/cart:80"));
    assert_eq!(living.board.unready(), None);
    living.server.with(|state| state.refused = None);
    seconds(10).await;
    assert_eq!(living.problems(), [""; 0]);
}
