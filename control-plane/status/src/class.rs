//! The status of a GatewayClass: whether it is accepted, and what its Gateways can do (GEP-2162).

use heddle_resolve::{ConditionType, GatewayClassStatus};
use serde_json::{Value, json};

use crate::{Context, Transition, conditions::Merge, patch::Fields};

/// The conditions that are ours to state.
const OWNED: &[ConditionType] = &[ConditionType::Accepted, ConditionType::SupportedVersion];

pub(crate) fn fields(
    current: &Value,
    wanted: &GatewayClassStatus,
    context: &Context<'_>,
    transitions: &mut Vec<Transition>,
) -> Fields {
    let merge = Merge {
        owned: OWNED,
        place: "",
        now: context.now,
    };
    let conditions = merge.apply(&current["conditions"], &wanted.conditions, transitions);
    let features = wanted.supported_features.iter();
    let features = features.map(|name| json!({"name": name})).collect();
    vec![
        ("conditions", conditions),
        ("supportedFeatures", Value::Array(features)),
    ]
}
