//! From the status that an object has to the one that it should have. Pure.

use std::sync::Arc;

use heddle_resolve::{GatewayClassStatus, GatewayStatus, RouteStatus};
use serde_json::{Map, Value};

use crate::{Transition, class, gateway, parents};

/// The status that an object should have, as far as it is ours to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Of an HTTPRoute or GRPCRoute. Without parents: no entry of ours.
    Route(Arc<RouteStatus>),
    /// Of a Gateway of ours.
    Gateway(Arc<GatewayStatus>),
    /// Of a GatewayClass of ours.
    GatewayClass(Arc<GatewayClassStatus>),
}

impl Wanted {
    /// The generation of the object that it was made from, if it says so.
    pub fn generation(&self) -> Option<i64> {
        let conditions = match self {
            Self::Route(route) => &route.parents.first()?.conditions,
            Self::Gateway(gateway) => &gateway.conditions,
            Self::GatewayClass(class) => &class.conditions,
        };
        conditions.first()?.observed_generation
    }
}

/// What a patch depends on besides the two statuses.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The name under which we write: entries of other controllers are not ours.
    pub controller: &'a str,
    /// The object's namespace; empty for cluster-wide kinds.
    pub namespace: &'a str,
    /// The time of transitions: RFC 3339, in UTC, whole seconds.
    pub now: &'a str,
}

/// A change of a status.
#[derive(Clone, Debug, PartialEq)]
pub struct Patch {
    /// The fields of `status` that change, whole: a JSON merge patch (RFC 7396) of it.
    pub status: Value,
    /// What turns by it.
    pub transitions: Vec<Transition>,
}

/// What has to be written, so that `current` (the object's `status`, null if it has none) says what is wanted; `None`: nothing.
pub fn patch(current: &Value, wanted: &Wanted, context: &Context<'_>) -> Option<Patch> {
    let mut transitions = Vec::new();
    let fields = match wanted {
        Wanted::Route(route) => parents::fields(current, route, context, &mut transitions),
        Wanted::Gateway(gateway) => gateway::fields(current, gateway, context, &mut transitions),
        Wanted::GatewayClass(class) => class::fields(current, class, context, &mut transitions),
    };
    let mut status = Map::new();
    for (name, value) in fields {
        let is_empty = value.as_array().is_some_and(Vec::is_empty);
        let same = match &current[name] {
            Value::Null => is_empty,
            known => *known == value,
        };
        if !same {
            status.insert(name.to_owned(), value);
        }
    }
    (!status.is_empty()).then_some(Patch {
        status: Value::Object(status),
        transitions,
    })
}

/// Fields of a status, by name.
pub(crate) type Fields = Vec<(&'static str, Value)>;
