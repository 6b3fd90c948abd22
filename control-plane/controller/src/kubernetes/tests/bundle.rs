//! The published roots.

use std::{sync::Arc, time::Duration};

use kube::Api;
use tokio::sync::watch;

use super::{super::bundle, api::ApiServer};

const PATH: &str = "/api/v1/namespaces/heddle-system/configmaps/roots";

#[tokio::test(start_paused = true)]
async fn the_leader_publishes_the_roots_and_each_change_of_them() {
    let server = ApiServer::default();
    let (bundle, leading) = (
        watch::Sender::new(Arc::from("one")),
        watch::Sender::new(false),
    );
    let api = Api::namespaced(server.client(), "heddle-system");
    tokio::spawn(bundle::publish(
        api,
        "roots".to_owned(),
        bundle.subscribe(),
        leading.subscribe(),
    ));
    let pause = || tokio::time::sleep(Duration::from_secs(1));
    pause().await;
    assert_eq!(server.count(""), 0);
    leading.send_replace(true);
    pause().await;
    assert_eq!(server.get(PATH)["data"]["ca.crt"], "one");
    bundle.send_replace("two".into());
    pause().await;
    assert_eq!(server.get(PATH)["data"]["ca.crt"], "two");
    server.with(|state| state.objects.clear());
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(
        server.get(PATH)["data"]["ca.crt"],
        "two",
        "who removes it gets it back"
    );
    // A failure ends nothing.
    server.with(|state| state.fault = 403);
    bundle.send_replace("three".into());
    pause().await;
    server.with(|state| state.fault = 0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(server.get(PATH)["data"]["ca.crt"], "three");
}
