//! One condition. Pure.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::pods::State;

/// The condition's type.
pub(crate) const ENROLLED: &str = "heddle.dev/Enrolled";

/// A pod's condition, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
    /// Since when it has the status.
    #[serde(default)]
    last_transition_time: Option<String>,
}

impl Condition {
    /// The one that a pod has.
    pub(super) fn find(pod: &Value) -> Option<Self> {
        let conditions = pod.pointer("/status/conditions")?.as_array()?;
        let ours = conditions
            .iter()
            .find(|condition| condition["type"] == ENROLLED)?;
        serde_json::from_value(ours.clone()).ok()
    }

    /// Whether it says this; `None`: the pod is not in the mesh.
    pub(super) fn says(&self, state: Option<&State>) -> bool {
        let (status, reason, message) = words(state);
        self.status == status && self.reason == reason && self.message == message
    }

    /// What comes after `known`. The time changes with the status, and only then.
    pub(super) fn next(known: Option<&Self>, state: Option<&State>, now: SystemTime) -> Self {
        let (status, reason, message) = words(state);
        let since = known
            .filter(|known| known.status == status)
            .and_then(|known| known.last_transition_time.clone());
        Self {
            kind: ENROLLED.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: since.or_else(|| written(now)),
        }
    }
}

fn written(time: SystemTime) -> Option<String> {
    let time = OffsetDateTime::from(time).truncate_to_second();
    time.format(&Rfc3339).ok()
}

fn words(state: Option<&State>) -> (&'static str, &'static str, String) {
    match state {
        Some(State::Captured) => (
            "True",
            "Captured",
            "the pod's traffic goes through the node proxy".to_owned(),
        ),
        Some(State::Waiting(why)) => ("False", "Waiting", why.clone()),
        Some(State::Failed(why)) => (
            "False",
            "Failed",
            format!("{why}; the log of the heddle-node-proxy on the pod's node tells more"),
        ),
        None => (
            "False",
            "Released",
            "the pod is not in the mesh; the label heddle.dev/mesh: enabled on it or on its namespace enrols it"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_as_kubernetes_reads_it() {
        let state = State::Failed("no sandbox".to_owned());
        let condition = Condition::next(None, Some(&state), UNIX_EPOCH);
        assert_eq!(
            serde_json::to_value(condition).unwrap(),
            json!({
                "type": "heddle.dev/Enrolled", "status": "False", "reason": "Failed",
                "message": "no sandbox; the log of the heddle-node-proxy on the pod's node tells more",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            })
        );
    }

    #[test]
    fn the_time_changes_with_the_status_only() {
        let later = UNIX_EPOCH + Duration::from_secs(60);
        let first = Condition::next(None, Some(&State::Captured), UNIX_EPOCH);
        let released = Condition::next(Some(&first), None, later);
        assert_eq!(
            released.last_transition_time.as_deref(),
            Some("1970-01-01T00:01:00Z")
        );
        let failed = State::Failed("why".to_owned());
        let failed = Condition::next(
            Some(&released),
            Some(&failed),
            later + Duration::from_secs(60),
        );
        assert_eq!(failed.last_transition_time, released.last_transition_time);
    }

    #[test]
    fn it_is_found_among_a_pods_others() {
        let ours = Condition::next(None, Some(&State::Captured), UNIX_EPOCH);
        let pod = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, ours]}});
        let found = Condition::find(&pod).unwrap();
        assert!(found.says(Some(&State::Captured)) && !found.says(None));
        assert_eq!(Condition::find(&json!({"status": {}})), None);
    }
}
