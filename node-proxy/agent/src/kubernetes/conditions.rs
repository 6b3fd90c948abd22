//! The condition `heddle.dev/Enrolled` of each pod of the node: whether the mesh has it, or why not.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use anyhow::bail;
use heddle_config::{PodName, PodUid};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

use super::ApiServer;
use crate::pods::State;

/// The condition's type.
pub(crate) const ENROLLED: &str = "heddle.dev/Enrolled";
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// After a failure everything that is outstanding is tried again after this time.
const RETRY: Duration = Duration::from_secs(5);

/// What each pod's condition should say.
pub(crate) type Wanted = BTreeMap<(PodName, PodUid), State>;

/// Tells of what changes.
#[derive(Clone)]
pub(crate) struct Conditions(watch::Sender<Wanted>);

impl Conditions {
    /// Starts the task that writes them; it ends with `shutdown`.
    pub(crate) fn start(api: ApiServer, shutdown: CancellationToken) -> Self {
        let sender = watch::Sender::new(Wanted::new());
        let wanted = sender.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = write_all(&api, wanted) => {}
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

/// Compares what was written with what is wanted, for ever.
async fn write_all(api: &ApiServer, mut wanted: watch::Receiver<Wanted>) {
    let mut written = Wanted::new();
    let mut complaint = String::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        let mut failed = None;
        for (pod, state) in differences(&written, &now) {
            match write(api, &pod, state.as_ref()).await {
                Ok(()) => match state {
                    Some(state) => drop(written.insert(pod, state)),
                    None => drop(written.remove(&pod)),
                },
                Err(error) => failed = Some(format!("{}: {error:#}", pod.0)),
            }
        }
        let again = match &failed {
            Some(error) => {
                if complaint != *error {
                    tracing::warn!("a pod's condition {ENROLLED} was not written: {error}");
                }
                RETRY
            }
            None => Duration::MAX,
        };
        complaint = failed.unwrap_or_default();
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(again.min(Duration::from_secs(86_400))) => {}
        }
    }
}

/// What has to be written; `None`: the pod has left the mesh. A pod that only waits for its sandbox is told of once there is more to tell.
fn differences(written: &Wanted, wanted: &Wanted) -> Vec<((PodName, PodUid), Option<State>)> {
    let changed = wanted.iter().filter(|(pod, state)| {
        let known = written.get(*pod);
        known != Some(*state) && (known.is_some() || !matches!(state, State::Waiting(_)))
    });
    let changed = changed.map(|(pod, state)| (pod.clone(), Some(state.clone())));
    let left = written.keys().filter(|pod| !wanted.contains_key(*pod));
    changed.chain(left.map(|pod| (pod.clone(), None))).collect()
}

async fn write(
    api: &ApiServer,
    (name, uid): &(PodName, PodUid),
    state: Option<&State>,
) -> anyhow::Result<()> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/status",
        name.namespace, name.name
    );
    let body = patch(uid, state, SystemTime::now()).to_string();
    let kind = "application/strategic-merge-patch+json";
    let sent = timeout(PATIENCE, api.send(Method::PATCH, &path, kind, body.into()));
    match sent.await? {
        // Another pod of the name has its own condition, and one that is gone needs none (the uid is a precondition).
        Ok((StatusCode::NOT_FOUND | StatusCode::CONFLICT, _)) => Ok(()),
        Ok((status, _)) if status.is_success() => Ok(()),
        Ok((status, body)) => {
            let message: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
            bail!("{status}: {}", message["message"].as_str().unwrap_or("-"))
        }
        Err(error) => Err(error),
    }
}

/// Conditions are merged by their type.
fn patch(uid: &PodUid, state: Option<&State>, now: SystemTime) -> serde_json::Value {
    let (status, reason, message) = match state {
        Some(State::Captured) => (
            "True",
            "Captured",
            "all of the pod's traffic goes through the node proxy".to_owned(),
        ),
        Some(State::Waiting(why)) => ("False", "Waiting", why.clone()),
        Some(State::Failed(why)) => ("False", "Failed", why.clone()),
        None => ("False", "Released", "the pod is not in the mesh".to_owned()),
    };
    let now = time::OffsetDateTime::from(now).truncate_to_second();
    let now = now.format(&time::format_description::well_known::Rfc3339);
    json!({
        "metadata": {"uid": &*uid.0},
        "status": {"conditions": [{
            "type": ENROLLED,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": now.unwrap_or_default(),
        }]},
    })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn pod(name: &str) -> (PodName, PodUid) {
        let name = PodName {
            namespace: "shop".parse().unwrap(),
            name: name.into(),
        };
        (name, PodUid("1-2-3".into()))
    }

    #[test]
    fn only_what_changes_is_written_and_who_leaves_is_told() {
        let written = Wanted::from([
            (pod("same"), State::Captured),
            (pod("left"), State::Captured),
            (pod("broken"), State::Captured),
        ]);
        let why = || State::Failed("why".to_owned());
        let wanted = Wanted::from([
            (pod("same"), State::Captured),
            (pod("broken"), why()),
            (pod("new"), State::Captured),
            (pod("starting"), State::Waiting("no sandbox yet".to_owned())),
        ]);
        assert_eq!(
            differences(&written, &wanted),
            [
                (pod("broken"), Some(why())),
                (pod("new"), Some(State::Captured)),
                (pod("left"), None)
            ]
        );
    }

    #[test]
    fn the_patch_names_the_very_pod_and_says_why() {
        let state = State::Failed("no sandbox".to_owned());
        let patch = patch(&pod("cart").1, Some(&state), UNIX_EPOCH);
        assert_eq!(patch["metadata"]["uid"], "1-2-3");
        let condition = &patch["status"]["conditions"][0];
        assert_eq!(
            *condition,
            json!({
                "type": "heddle.dev/Enrolled", "status": "False", "reason": "Failed", "message": "no sandbox",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            })
        );
    }
}
