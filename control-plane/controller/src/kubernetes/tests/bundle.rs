//! The published roots.

use std::{sync::Arc, time::Duration};

use kube::Api;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    super::bundle::{self, Target},
    api::ApiServer,
};
use crate::concerns::Concerns;

const CONFIG_MAP: &str = "/api/v1/namespaces/heddle-system/configmaps/roots";

struct Publishing {
    server: ApiServer,
    bundle: watch::Sender<Arc<str>>,
    leading: watch::Sender<bool>,
    concerns: Concerns,
}

impl Publishing {
    fn start(target: impl Fn(&ApiServer) -> Target) -> Self {
        let this = Self {
            server: ApiServer::default(),
            bundle: watch::Sender::new(Arc::from("one")),
            leading: watch::Sender::new(false),
            concerns: Concerns::default(),
        };
        tokio::spawn(bundle::publish(
            target(&this.server),
            this.bundle.subscribe(),
            this.leading.subscribe(),
            this.concerns.of("roots"),
        ));
        this
    }
}

fn config_map(server: &ApiServer) -> Target {
    Target::ConfigMap {
        api: Api::namespaced(server.client(), "heddle-system"),
        name: "roots".to_owned(),
    }
}

fn cluster_trust_bundle(server: &ApiServer) -> Target {
    Target::ClusterTrustBundle(server.client())
}

async fn pause() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_leader_publishes_the_roots_and_each_change_of_them() {
    let publishing = Publishing::start(config_map);
    let server = &publishing.server;
    pause().await;
    assert_eq!(server.count(""), 0);
    publishing.leading.send_replace(true);
    pause().await;
    assert_eq!(server.get(CONFIG_MAP)["data"]["ca.crt"], "one");
    publishing.bundle.send_replace("two".into());
    pause().await;
    assert_eq!(server.get(CONFIG_MAP)["data"]["ca.crt"], "two");
    server.with(|state| state.objects.clear());
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(
        server.get(CONFIG_MAP)["data"]["ca.crt"],
        "two",
        "who removes it gets it back"
    );
    // A failure ends nothing.
    server.with(|state| state.fault = 403);
    publishing.bundle.send_replace("three".into());
    pause().await;
    let told = publishing.concerns.now();
    let expected = "the ConfigMap roots with the trusted roots cannot be written: no; let the control plane's Role create configmaps and patch this one";
    assert_eq!(told, [expected]);
    server.with(|state| state.fault = 0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(server.get(CONFIG_MAP)["data"]["ca.crt"], "three");
    assert_eq!(publishing.concerns.now(), [""; 0]);
}

/// The server has ClusterTrustBundles in this version, and signing requests in any case.
fn serve(server: &ApiServer, version: Option<&str>) {
    for known in ["v1", "v1beta1"] {
        let mut names = match known {
            "v1" => vec!["certificatesigningrequests"],
            _ => vec![],
        };
        names.extend((version == Some(known)).then_some("clustertrustbundles"));
        let path = format!("/apis/certificates.k8s.io/{known}");
        let resource = |name: &&str| json!({"name": name, "singularName": "", "namespaced": false, "kind": "K", "verbs": []});
        let list = json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": format!("certificates.k8s.io/{known}"),
            "resources": names.iter().map(resource).collect::<Vec<_>>(),
        });
        server.with(|state| match names.is_empty() {
            true => state.objects.remove(&path),
            false => state.objects.insert(path, list),
        });
    }
}

fn path(version: &str) -> String {
    format!("/apis/certificates.k8s.io/{version}/clustertrustbundles/heddle.dev:mesh:roots")
}

#[tokio::test(start_paused = true)]
async fn a_cluster_trust_bundle_is_written_in_the_best_version_that_the_server_has() {
    for version in ["v1", "v1beta1"] {
        let publishing = Publishing::start(cluster_trust_bundle);
        serve(&publishing.server, Some(version));
        publishing.leading.send_replace(true);
        pause().await;
        let object = publishing.server.get(&path(version));
        let spec = json!({"signerName": "heddle.dev/mesh", "trustBundle": "one"});
        assert_eq!(object["spec"], spec, "{version}");
        assert_eq!(
            object["apiVersion"],
            format!("certificates.k8s.io/{version}")
        );
        publishing.bundle.send_replace("one and two".into());
        pause().await;
        let object = publishing.server.get(&path(version));
        assert_eq!(object["spec"]["trustBundle"], "one and two");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_cluster_trust_bundles_is_no_concern_and_looked_at_again() {
    let publishing = Publishing::start(cluster_trust_bundle);
    serve(&publishing.server, None);
    publishing.leading.send_replace(true);
    pause().await;
    assert_eq!(publishing.server.count("PATCH"), 0);
    assert_eq!(publishing.concerns.now(), [""; 0]);
    // The server is upgraded.
    serve(&publishing.server, Some("v1"));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_ne!(publishing.server.get(&path("v1")), Value::Null);
}

#[tokio::test(start_paused = true)]
async fn who_may_not_attest_is_told_what_to_allow() {
    let publishing = Publishing::start(cluster_trust_bundle);
    serve(&publishing.server, Some("v1"));
    publishing
        .server
        .with(|state| state.refused = Some("PATCH /apis/certificates"));
    publishing.leading.send_replace(true);
    pause().await;
    let expected = "the ClusterTrustBundle heddle.dev:mesh:roots cannot be written (the mesh works without it, by the ConfigMap): no; let the control plane's ClusterRole create clustertrustbundles, patch this one, and attest for the signer heddle.dev/mesh";
    assert_eq!(publishing.concerns.now(), [expected]);
    publishing.server.with(|state| state.refused = None);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(publishing.concerns.now(), [""; 0]);
    assert_ne!(publishing.server.get(&path("v1")), Value::Null);
}
