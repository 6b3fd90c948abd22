//! The status of a Gateway: addresses, conditions, and its listeners by name.

use heddle_resolve::{ConditionType, GatewayStatus, ListenerStatus};
use serde_json::{Value, json};

use crate::{Context, Transition, conditions::Merge, patch::Fields};

/// The conditions of a Gateway that are ours to state.
const OWNED: &[ConditionType] = &[ConditionType::Accepted, ConditionType::Programmed];
/// The conditions of a listener that are ours to state.
const LISTENER_OWNED: &[ConditionType] = &[
    ConditionType::Accepted,
    ConditionType::Programmed,
    ConditionType::ResolvedRefs,
    ConditionType::Conflicted,
];

pub(crate) fn fields(
    current: &Value,
    wanted: &GatewayStatus,
    context: &Context<'_>,
    transitions: &mut Vec<Transition>,
) -> Fields {
    let addresses = wanted.addresses.iter();
    let addresses = addresses
        .map(|address| json!({"type": "IPAddress", "value": address.to_string()}))
        .collect();
    let merge = Merge {
        owned: OWNED,
        place: "",
        now: context.now,
    };
    let conditions = merge.apply(&current["conditions"], &wanted.conditions, transitions);
    let listeners = wanted.listeners.iter();
    let listeners = listeners
        .map(|wanted| listener(&current["listeners"], wanted, context, transitions))
        .collect();
    vec![
        ("addresses", Value::Array(addresses)),
        ("conditions", conditions),
        ("listeners", Value::Array(listeners)),
    ]
}

fn listener(
    known: &Value,
    wanted: &ListenerStatus,
    context: &Context<'_>,
    transitions: &mut Vec<Transition>,
) -> Value {
    let mut known = known.as_array().into_iter().flatten();
    let known = known.find(|known| known["name"].as_str() == Some(&wanted.name));
    let place = format!("listener {}", wanted.name);
    let merge = Merge {
        owned: LISTENER_OWNED,
        place: &place,
        now: context.now,
    };
    let current = known.map_or(&Value::Null, |known| &known["conditions"]);
    let kinds = wanted.supported_kinds.iter();
    let kinds: Vec<Value> = kinds
        .map(|kind| json!({"group": "gateway.networking.k8s.io", "kind": kind}))
        .collect();
    json!({
        "name": wanted.name,
        "supportedKinds": kinds,
        "attachedRoutes": wanted.attached_routes,
        "conditions": merge.apply(current, &wanted.conditions, transitions),
    })
}
