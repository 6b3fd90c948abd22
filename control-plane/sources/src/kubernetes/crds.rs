//! The CRDs of the Gateway API: which release is installed.
//!
//! Looked at now and then, one by one and without their schemas: they change once in months, and so little needs no right to list.

use std::{sync::Arc, time::Duration};

use heddle_resources::{BUNDLE_VERSION, GatewayApi};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client, ResourceExt};
use tokio::{
    sync::mpsc::Sender,
    time::{sleep, timeout},
};

use super::follow::Report;

/// Those whose objects are read.
const CRDS: [&str; 5] = [
    "gatewayclasses.gateway.networking.k8s.io",
    "gateways.gateway.networking.k8s.io",
    "grpcroutes.gateway.networking.k8s.io",
    "httproutes.gateway.networking.k8s.io",
    "referencegrants.gateway.networking.k8s.io",
];

/// From one look to the next.
const LOOK: Duration = Duration::from_secs(10);

/// What a look told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Crds {
    /// These are there.
    Found(Arc<GatewayApi>),
    /// They may not be looked at, with what to do about it.
    Forbidden(String),
    /// Nothing: the server does not answer.
    Later,
}

/// Reports what the CRDs are, at first and whenever that has changed, for as long as somebody listens.
pub(super) async fn follow(client: Client, reports: Sender<Report>) {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    let mut told = None;
    loop {
        // Why not is told by the watches.
        let crds = timeout(LOOK, look(&api)).await;
        let crds = crds.ok().and_then(Result::ok).unwrap_or(Crds::Later);
        if told.as_ref() != Some(&crds) {
            told = Some(crds.clone());
            if reports.send(Report::GatewayApi(crds)).await.is_err() {
                return;
            }
        }
        sleep(LOOK).await;
    }
}

async fn look(api: &Api<CustomResourceDefinition>) -> kube::Result<Crds> {
    let mut found = GatewayApi::default();
    for name in CRDS {
        match api.get_metadata_opt(name).await {
            Ok(Some(crd)) => {
                let version = crd.annotations().get(BUNDLE_VERSION);
                found.insert(name, version.map(String::as_str));
            }
            Ok(None) => {}
            Err(kube::Error::Api(status)) if status.code == 403 => {
                return Ok(Crds::Forbidden(format!(
                    "the version of the Gateway API is not known: {}; let the control plane's ClusterRole get the customresourcedefinitions {}",
                    status.message,
                    CRDS.join(", ")
                )));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Crds::Found(Arc::new(found)))
}
