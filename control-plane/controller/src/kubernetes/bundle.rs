//! Publishes the trusted roots: as a ConfigMap, for node proxies to mount (they must know whom to trust before they can ask anybody), and
//! where the server has them as a ClusterTrustBundle, for everybody else in the cluster.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::concerns::Concern;

/// How often it is written anew, in case that somebody else changed it. The API server stores nothing if it is the same.
const REPEAT: Duration = Duration::from_secs(60);
/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(5);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);

/// On whose behalf the ClusterTrustBundle speaks; its name begins with it, with `:` for `/` (ClusterTrustBundleSpec.signerName).
const SIGNER: &str = "heddle.dev/mesh";
/// The ClusterTrustBundle's name.
pub(super) const CLUSTER_TRUST_BUNDLE: &str = "heddle.dev:mesh:roots";
/// Versions of the ClusterTrustBundle that we can write, the best first: GA in Kubernetes 1.37, beta since 1.33.
const VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// Where the roots are written to.
pub(super) enum Target {
    /// A ConfigMap, under the key `ca.crt`.
    ConfigMap { api: Api<ConfigMap>, name: String },
    /// The ClusterTrustBundle [`CLUSTER_TRUST_BUNDLE`], if the server has the kind.
    ClusterTrustBundle(Client),
}

/// What became of a write.
#[derive(Debug, PartialEq, Eq)]
enum Written {
    Stored,
    /// The server does not have the kind.
    NotServed,
}

/// Writes the bundle whenever it changes, and now and then, while this replica leads.
pub(super) async fn publish(
    target: Target,
    mut bundle: watch::Receiver<Arc<str>>,
    mut leading: watch::Receiver<bool>,
    concern: Concern,
) {
    let mut told = None;
    loop {
        if leading.wait_for(|leads| *leads).await.is_err() {
            return;
        }
        let roots = bundle.borrow_and_update().clone();
        let result = target.write(&roots).await;
        let pause = if result.is_err() { RETRY } else { REPEAT };
        match result {
            Ok(written) => {
                concern.settled();
                if told.as_ref() != Some(&written) {
                    target.tell(&written);
                    told = Some(written);
                }
            }
            Err(error) => concern.raise(error),
        }
        tokio::select! {
            changed = bundle.changed() => if changed.is_err() {
                return;
            },
            () = sleep(pause) => {}
        }
    }
}

impl Target {
    async fn write(&self, roots: &str) -> Result<Written, String> {
        match self {
            Self::ConfigMap { api, name } => {
                let object = json!({
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "heddle"}},
                    "data": {"ca.crt": roots},
                });
                apply(api, name, &object).await.map_err(|error| {
                    let what = format!(
                        "the ConfigMap {name} with the trusted roots cannot be written: {error}"
                    );
                    error.advise(
                        what,
                        "let the control plane's Role create configmaps and patch this one",
                    )
                })?;
                Ok(Written::Stored)
            }
            Self::ClusterTrustBundle(client) => {
                let Some(version) = version(client).await? else {
                    return Ok(Written::NotServed);
                };
                let kind =
                    GroupVersionKind::gvk("certificates.k8s.io", version, "ClusterTrustBundle");
                let resource = ApiResource::from_gvk_with_plural(&kind, "clustertrustbundles");
                let object = json!({
                    "apiVersion": resource.api_version,
                    "kind": "ClusterTrustBundle",
                    "metadata": {"name": CLUSTER_TRUST_BUNDLE, "labels": {"app.kubernetes.io/part-of": "heddle"}},
                    "spec": {"signerName": SIGNER, "trustBundle": roots},
                });
                let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
                let stored = apply(&api, CLUSTER_TRUST_BUNDLE, &object).await;
                stored.map_err(|error| {
                    let what = format!("the ClusterTrustBundle {CLUSTER_TRUST_BUNDLE} cannot be written (the mesh works without it, by the ConfigMap): {error}");
                    let advice = format!("let the control plane's ClusterRole create clustertrustbundles, patch this one, and attest for the signer {SIGNER}");
                    error.advise(what, &advice)
                })?;
                Ok(Written::Stored)
            }
        }
    }

    fn tell(&self, written: &Written) {
        match (self, written) {
            (Self::ConfigMap { name, .. }, _) => {
                tracing::info!("the trusted roots are in the ConfigMap {name}");
            }
            (Self::ClusterTrustBundle(_), Written::Stored) => {
                tracing::info!(
                    "the trusted roots are in the ClusterTrustBundle {CLUSTER_TRUST_BUNDLE}"
                );
            }
            (Self::ClusterTrustBundle(_), Written::NotServed) => {
                tracing::info!(
                    "the API server has no ClusterTrustBundles; the trusted roots are in the ConfigMap only"
                );
            }
        }
    }
}

/// In which version the server has ClusterTrustBundles, if it has them.
async fn version(client: &Client) -> Result<Option<&'static str>, String> {
    for version in VERSIONS {
        let group = format!("certificates.k8s.io/{version}");
        match within(client.list_api_group_resources(&group)).await {
            Ok(list)
                if list
                    .resources
                    .iter()
                    .any(|one| one.name == "clustertrustbundles") =>
            {
                return Ok(Some(version));
            }
            Ok(_) => {}
            Err(Failure::Kube(kube::Error::Api(status))) if status.code == 404 => {}
            Err(error) => {
                return Err(format!(
                    "the API server does not tell whether it has ClusterTrustBundles: {error}"
                ));
            }
        }
    }
    Ok(None)
}

/// Server-side apply: makes the object, or changes of it what differs.
async fn apply<K>(api: &Api<K>, name: &str, object: &Value) -> Result<(), Failure>
where
    K: Clone + DeserializeOwned + Serialize + std::fmt::Debug,
{
    let parameters = PatchParams::apply("heddle.dev/control-plane").force();
    within(api.patch(name, &parameters, &Patch::Apply(object))).await?;
    Ok(())
}

#[derive(Debug)]
enum Failure {
    Kube(kube::Error),
    Silence,
}

impl Failure {
    /// What went wrong, with what to do if it was not allowed.
    fn advise(&self, what: String, advice: &str) -> String {
        match self {
            Self::Kube(kube::Error::Api(status)) if status.code == 403 => {
                format!("{what}; {advice}")
            }
            _ => what,
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kube(kube::Error::Api(status)) => f.write_str(&status.message),
            Self::Kube(error) => error.fmt(f),
            Self::Silence => write!(f, "no answer within {} s", REQUEST.as_secs()),
        }
    }
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match timeout(REQUEST, request).await {
        Ok(answer) => answer.map_err(Failure::Kube),
        Err(_) => Err(Failure::Silence),
    }
}
