//! Writes one status to the API server.

use std::{fmt, time::Duration};

use heddle_resources::{GRPCRoute, Gateway, GatewayClass, HTTPRoute, Kind, ObjectId};
use k8s_openapi::jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch as ApiPatch, PatchParams},
    core::{ApiResource, DynamicObject},
    runtime::events::{Recorder, Reporter},
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{Context, Patch, Transition, Wanted, events, patch};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);
/// How often in a row somebody else may be faster than we are.
const CONFLICTS: usize = 5;

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was written; this is what turned.
    Written(Vec<Transition>),
    /// It says already what it should.
    Unchanged,
    /// The object is gone.
    Gone,
    /// The object has changed since the status was made: another one is on its way.
    Outdated,
}

/// Why a status was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The API server refuses, or cannot be reached.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// It does not answer.
    #[error("no answer within {} s", REQUEST.as_secs())]
    Timeout,
    /// Others write all the time.
    #[error("somebody else changed it {CONFLICTS} times in a row")]
    Conflicts,
    /// Not a kind with a status of ours.
    #[error("{0} has no status of ours")]
    Kind(&'static str),
}

/// Writes statuses and their Events. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    controller: &'static str,
    recorder: Recorder,
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("controller", &self.controller)
            .finish_non_exhaustive()
    }
}

impl Writer {
    /// Writes under the name of a controller; `instance` (a pod's name) stands in Events.
    pub fn new(client: Client, controller: &'static str, instance: &str) -> Self {
        let reporter = Reporter {
            controller: controller.to_owned(),
            instance: Some(instance.to_owned()),
        };
        Self {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            controller,
        }
    }

    /// What would have to be written if the object had this status.
    pub(crate) fn compare(&self, id: &ObjectId, current: &Value, wanted: &Wanted) -> Option<Patch> {
        let context = Context {
            controller: self.controller,
            namespace: &id.namespace,
            now: &now(),
        };
        patch(current, wanted, &context)
    }

    /// Reads the object afresh and writes its status, if it differs. Tells the transitions in Events; that one of these is lost is no error.
    pub async fn write(&self, id: &ObjectId, wanted: &Wanted) -> Result<Outcome, WriteError> {
        let resource = resource(id.kind).ok_or(WriteError::Kind(id.kind.as_str()))?;
        let api: Api<DynamicObject> = match id.kind.is_namespaced() {
            true => Api::namespaced_with(self.client.clone(), &id.namespace, &resource),
            false => Api::all_with(self.client.clone(), &resource),
        };
        for _ in 0..CONFLICTS {
            let Some(object) = within(api.get_opt(&id.name)).await? else {
                return Ok(Outcome::Gone);
            };
            let newer = wanted
                .generation()
                .zip(object.metadata.generation)
                .is_some_and(|(wanted, present)| present > wanted);
            if newer {
                return Ok(Outcome::Outdated);
            }
            let Some(Patch {
                status,
                transitions,
            }) = self.compare(id, &object.data["status"], wanted)
            else {
                return Ok(Outcome::Unchanged);
            };
            // With the version that was read: lists are replaced whole, and what another controller wrote in between must not be lost.
            let body = json!({
                "metadata": {"resourceVersion": object.metadata.resource_version, "uid": object.metadata.uid},
                "status": status,
            });
            let parameters = PatchParams {
                field_manager: Some("heddle.dev/status".to_owned()),
                ..PatchParams::default()
            };
            let merge = ApiPatch::Merge(&body);
            match within(api.patch_status(&id.name, &parameters, &merge)).await {
                Ok(_) => {
                    self.tell(&object, &transitions).await;
                    return Ok(Outcome::Written(transitions));
                }
                Err(WriteError::Api(kube::Error::Api(answer))) if answer.code == 409 => {}
                Err(WriteError::Api(kube::Error::Api(answer))) if answer.code == 404 => {
                    return Ok(Outcome::Gone);
                }
                Err(error) => return Err(error),
            }
        }
        Err(WriteError::Conflicts)
    }

    async fn tell(&self, object: &DynamicObject, transitions: &[Transition]) {
        let regarding = events::regarding(object);
        for transition in transitions.iter().take(events::MAX_EVENTS) {
            let event = events::event(transition);
            if let Err(error) = within(self.recorder.publish(&event, &regarding)).await {
                tracing::debug!(%error, "an Event was not recorded");
                return;
            }
        }
    }
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, WriteError> {
    let answer = timeout(REQUEST, request).await;
    Ok(answer.map_err(|_| WriteError::Timeout)??)
}

fn resource(kind: Kind) -> Option<ApiResource> {
    Some(match kind {
        Kind::HTTPRoute => ApiResource::erase::<HTTPRoute>(&()),
        Kind::GRPCRoute => ApiResource::erase::<GRPCRoute>(&()),
        Kind::Gateway => ApiResource::erase::<Gateway>(&()),
        Kind::GatewayClass => ApiResource::erase::<GatewayClass>(&()),
        _ => return None,
    })
}

/// The present as the API writes it (metav1.Time).
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
