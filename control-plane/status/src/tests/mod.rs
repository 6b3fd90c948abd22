mod gateways;
mod queue;
mod routes;
mod running;
pub(crate) mod server;
mod writing;

use heddle_resolve::{Condition, ConditionType};
use serde_json::{Value, json};

use crate::{Context, Patch, Wanted, patch};

const OURS: &str = "heddle.dev/gateway-controller";
const THEN: &str = "2026-01-01T00:00:00Z";
const NOW: &str = "2026-02-02T12:30:00Z";

fn context() -> Context<'static> {
    Context {
        controller: OURS,
        namespace: "shop",
        now: NOW,
    }
}

fn condition(r#type: ConditionType, status: bool, reason: &'static str) -> Condition {
    Condition {
        r#type,
        status,
        reason,
        message: String::new(),
        observed_generation: Some(3),
    }
}

/// The same as it is written, since then.
fn written(r#type: &str, status: &str, reason: &str, since: &str) -> Value {
    json!({
        "type": r#type, "status": status, "reason": reason, "message": "", "lastTransitionTime": since,
        "observedGeneration": 3,
    })
}

fn change(current: &Value, wanted: &Wanted) -> Option<Patch> {
    let change = patch(current, wanted, &context());
    if let Some(change) = &change {
        // What was written is in order: nothing is ever written twice.
        let mut after = current.clone();
        if after.is_null() {
            after = json!({});
        }
        for (name, value) in change.status.as_object().unwrap() {
            after[name] = value.clone();
        }
        assert_eq!(patch(&after, wanted, &context()), None);
    }
    change
}

fn lines(change: &Patch) -> Vec<String> {
    let lines = change.transitions.iter();
    lines.map(ToString::to_string).collect()
}
