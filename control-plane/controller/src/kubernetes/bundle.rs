//! Publishes the trusted roots as a ConfigMap, for node proxies to mount: they must know whom to trust before they can ask anybody.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// How often it is written anew, in case that somebody else changed it. The API server stores nothing if it is the same.
const REPEAT: Duration = Duration::from_secs(60);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(5);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);

/// Writes the bundle whenever it changes, and now and then, while this replica leads.
pub(super) async fn publish(
    api: Api<ConfigMap>,
    name: String,
    mut bundle: watch::Receiver<Arc<str>>,
    mut leading: watch::Receiver<bool>,
) {
    let mut failure = None;
    loop {
        if leading.wait_for(|leads| *leads).await.is_err() {
            return;
        }
        let roots = bundle.borrow_and_update().clone();
        let result = write(&api, &name, &roots).await;
        if let Err(error) = &result
            && failure.as_ref() != Some(error)
        {
            tracing::warn!(
                "the ConfigMap {name} with the trusted roots cannot be written: {error}"
            );
        }
        failure = result.err();
        let pause = if failure.is_some() { RETRY } else { REPEAT };
        tokio::select! {
            changed = bundle.changed() => if changed.is_err() {
                return;
            },
            () = sleep(pause) => {}
        }
    }
}

async fn write(api: &Api<ConfigMap>, name: &str, roots: &str) -> Result<(), String> {
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "heddle"}},
        "data": {"ca.crt": roots},
    });
    let parameters = PatchParams::apply("heddle.dev/control-plane").force();
    let apply = Patch::Apply(&object);
    match timeout(REQUEST, api.patch(name, &parameters, &apply)).await {
        Ok(answer) => answer.map(drop).map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", REQUEST.as_secs())),
    }
}
