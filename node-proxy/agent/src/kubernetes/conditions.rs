//! The condition `heddle.dev/Enrolled` of each pod of the node: whether the mesh has it, or why not.

mod condition;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use anyhow::bail;
use bytes::Bytes;
use heddle_config::{PodName, PodUid};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::ApiServer;
use crate::pods::State;
use condition::Condition;
pub(crate) use condition::ENROLLED;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure what is outstanding is tried again after this time; it doubles with each further failure in a row.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A pod; another of the same name is another.
type Pod = (PodName, PodUid);

/// What each pod's condition should say.
pub(crate) type Wanted = BTreeMap<Pod, State>;

/// Tells of what changes.
#[derive(Clone)]
pub(crate) struct Conditions(watch::Sender<Wanted>);

impl Conditions {
    /// Starts the task that writes them while the node is ours; it ends with `shutdown`.
    pub(crate) fn start(
        api: ApiServer,
        superseded: watch::Receiver<bool>,
        shutdown: CancellationToken,
    ) -> Self {
        let sender = watch::Sender::new(Wanted::new());
        let wanted = sender.subscribe();
        let writer = Writer {
            api,
            known: BTreeMap::new(),
        };
        tokio::spawn(async move {
            tokio::select! {
                () = writer.run(wanted, superseded) => {}
                () = shutdown.cancelled() => {}
            }
        });
        Self(sender)
    }

    /// Says what the pods' conditions should be from now on.
    pub(crate) fn want(&self, wanted: Wanted) {
        self.0.send_if_modified(|known| {
            let changes = *known != wanted;
            if changes {
                *known = wanted;
            }
            changes
        });
    }
}

struct Writer {
    api: ApiServer,
    /// The conditions of which we know.
    known: BTreeMap<Pod, Condition>,
}

impl Writer {
    /// Compares what is known with what is wanted, for ever.
    async fn run(
        mut self,
        mut wanted: watch::Receiver<Wanted>,
        mut superseded: watch::Receiver<bool>,
    ) {
        let (mut complaint, mut failures) = (String::new(), 0_u32);
        loop {
            if *superseded.borrow_and_update() {
                // Somebody else writes them, and knows better when we are asked again.
                self.known.clear();
                if superseded.wait_for(|superseded| !superseded).await.is_err() {
                    return;
                }
            }
            let now = wanted.borrow_and_update().clone();
            let pause = match self.bring(&now).await {
                Ok(()) => {
                    (complaint, failures) = (String::new(), 0);
                    None
                }
                Err(error) => {
                    let error = format!("{error:#}");
                    if error != complaint {
                        tracing::warn!("a pod's condition {ENROLLED} was not written: {error}");
                    }
                    complaint = error;
                    failures = failures.saturating_add(1);
                    Some(pause_after(failures))
                }
            };
            let again = async {
                match pause {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = wanted.changed(), if pause.is_none() => if changed.is_err() { return },
                _ = superseded.changed() => {}
                () = again => {}
            }
        }
    }

    /// Writes what differs. One pod's failure does not keep the others from being told.
    async fn bring(&mut self, wanted: &Wanted) -> anyhow::Result<()> {
        let mut failed = Ok(());
        for (pod, state) in wanted {
            if !is_worth_telling(state, self.known.contains_key(pod)) {
                continue;
            }
            if let Err(error) = self.tell(pod, Some(state)).await {
                failed = Err(error.context(pod.0.to_string()));
            }
        }
        let left: BTreeSet<Pod> = self.known.keys().cloned().collect();
        for pod in left.into_iter().filter(|pod| !wanted.contains_key(pod)) {
            match self.tell(&pod, None).await {
                Ok(()) => drop(self.known.remove(&pod)),
                Err(error) => failed = Err(error.context(pod.0.to_string())),
            }
        }
        failed
    }

    /// Brings one pod's condition to what it should say; `None`: the pod has left the mesh.
    async fn tell(&mut self, pod: &Pod, state: Option<&State>) -> anyhow::Result<()> {
        let known = self.known.get(pod);
        if known.is_some_and(|known| known.says(state)) {
            return Ok(());
        }
        if known.is_none() {
            // It may stand already, from before a restart.
            let Some(found) = self.patch(pod, json!({})).await? else {
                return Ok(());
            };
            if let Some(found) = Condition::find(&found) {
                self.known.insert(pod.clone(), found);
            }
        }
        let known = self.known.get(pod);
        let new = Condition::next(known, state, SystemTime::now());
        if known == Some(&new) {
            return Ok(());
        }
        let status = json!({"conditions": [new]});
        if self.patch(pod, status).await?.is_some() {
            self.known.insert(pod.clone(), new);
        } else {
            self.known.remove(pod);
        }
        Ok(())
    }

    /// Merges into the pod's status (conditions by their type), and gives back what it is then. `None`: that very pod is gone.
    async fn patch(&self, (name, uid): &Pod, status: Value) -> anyhow::Result<Option<Value>> {
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}/status",
            name.namespace, name.name
        );
        let body = json!({"metadata": {"uid": &*uid.0}, "status": status}).to_string();
        let kind = "application/strategic-merge-patch+json";
        let sent = self.api.send(Method::PATCH, &path, kind, body.into());
        let (status, body) = timeout(PATIENCE, sent).await??;
        if is_gone(status, &body, &uid.0) {
            return Ok(None);
        }
        let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
        if !status.is_success() {
            bail!("{status}: {}", answer["message"].as_str().unwrap_or("-"));
        }
        Ok(Some(answer))
    }
}

/// Whether an answer says that there is no such pod, or that it is another of the same name: a uid is never changed, so that naming it is a
/// precondition.
fn is_gone(status: StatusCode, body: &Bytes, uid: &str) -> bool {
    let about_the_uid = || {
        let text = String::from_utf8_lossy(body);
        text.contains("metadata.uid") || text.contains("UID") || text.contains(uid)
    };
    match status {
        StatusCode::NOT_FOUND => true,
        StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => about_the_uid(),
        _ => false,
    }
}

/// A pod that only waits for its sandbox is told of once there is more to tell: each pod does for a moment.
fn is_worth_telling(state: &State, known: bool) -> bool {
    known || !matches!(state, State::Waiting(_))
}

fn pause_after(failures: u32) -> Duration {
    let factor = 1_u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    SHORTEST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}
