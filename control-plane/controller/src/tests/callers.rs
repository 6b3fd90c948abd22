//! Who may have which certificate.

use heddle_identity::SpiffeId;
use heddle_issuer::{CallerNode, Placement};
use heddle_xds_server::BootstrapTokens;
use tonic::{Code, metadata::MetadataMap};

use super::*;
use crate::authentication::{TokenCaller, Tokens};

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_identity_is_for_the_nodes_that_its_pods_run_on() {
    let good = id("spiffe://cluster.local/ns/shop/sa/good");
    let own = id("spiffe://cluster.local/ns/heddle-system/sa/heddle-node-proxy");
    assert!(
        !Board::new(own.clone()).may("node-a", &good),
        "nothing is known yet"
    );
    let mut running = Running::start(&[]).await;
    let board = running.board.clone();
    assert!(board.may("node-a", &good));
    assert!(!board.may("node-b", &good));
    assert!(!board.may("node-c", &good));
    assert!(!board.may("node-a", &id("spiffe://cluster.local/ns/shop/sa/other")));
    assert!(!board.may("node-a", &id("spiffe://elsewhere/ns/shop/sa/good")));
    // The node proxy's own, with which it serves Gateways.
    assert!(board.may("node-a", &own) && board.may("node-b", &own));
    running.write(
        "_base.yaml",
        &BASE.replace("nodeName: node-a", "nodeName: node-c"),
    );
    running
        .until(|running| running.board.may("node-c", &good))
        .await;
    assert!(!board.may("node-a", &good), "its pod has left");
}

#[tokio::test]
async fn a_node_proxys_own_identity_is_of_the_namespace_that_the_mesh_is_installed_in() {
    let running = Running::start_with(&[], &["--namespace", "mesh"]).await;
    let may = |text| running.board.may("node-a", &id(text));
    assert!(may("spiffe://cluster.local/ns/mesh/sa/heddle-node-proxy"));
    for foreign in [
        "spiffe://cluster.local/ns/heddle-system/sa/heddle-node-proxy",
        "spiffe://elsewhere/ns/mesh/sa/heddle-node-proxy",
        "spiffe://cluster.local/ns/mesh/sa/heddle-control-plane",
        "spiffe://cluster.local/ns/mesh/sa/default",
    ] {
        assert!(!may(foreign), "{foreign}");
    }
}

#[tokio::test]
async fn a_pod_outside_the_mesh_without_a_node_or_at_its_end_gives_no_identity() {
    let pod = |name: &str, label: &str, node: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{heddle.dev/mesh: {label}}}}}\nspec: {{nodeName: {node}, serviceAccountName: {name}, containers: [{{name: c}}]}}\n"
        )
    };
    let pods = [
        pod("in", "enabled", "node-a"),
        pod("out", "disabled", "node-a"),
        pod("pending", "enabled", "''"),
        pod("done", "enabled", "node-a") + "status: {phase: Succeeded, podIP: 10.244.1.9}\n",
        pod("crashed", "enabled", "node-a") + "status: {phase: Failed, podIP: 10.244.1.8}\n",
    ];
    let host = pod("host", "enabled", "node-a").replace("spec: {", "spec: {hostNetwork: true, ");
    let running = Running::start(&[("pods.yaml", &(pods.join("---\n") + "---\n" + &host))]).await;
    let identities = ["in", "out", "pending", "done", "crashed", "host"];
    let given: Vec<&str> = identities
        .into_iter()
        .filter(|name| {
            let identity = id(&format!("spiffe://cluster.local/ns/shop/sa/{name}"));
            running.board.may("node-a", &identity)
        })
        .collect();
    assert_eq!(given, ["in"]);
}

#[tokio::test]
async fn only_a_valid_token_tells_the_node_of_a_signing_request() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let tokens = "tokens:\n- {node: node-a, token: secret-a}\n- {node: node-b, token: secret-b, expires: 2001-01-01T00:00:00Z}\n";
    fs::write(file.path(), tokens).unwrap();
    let caller = TokenCaller(Arc::new(Tokens {
        trust_domain: "cluster.local".parse().unwrap(),
        bootstrap: Some(BootstrapTokens::open(file.path()).unwrap()),
        reviews: None,
    }));
    let node = async |authorization: Option<&str>| {
        let mut metadata = MetadataMap::new();
        if let Some(value) = authorization {
            metadata.insert("authorization", value.parse().unwrap());
        }
        caller.node(&metadata).await.map_err(|status| status.code())
    };
    assert_eq!(node(Some("Bearer secret-a")).await.as_deref(), Ok("node-a"));
    for refused in [
        None,
        Some("Bearer wrong"),
        Some("Bearer secret-b"),
        Some("Bearer "),
        Some("Basic secret-a"),
    ] {
        assert_eq!(
            node(refused).await,
            Err(Code::Unauthenticated),
            "{refused:?}"
        );
    }
}
