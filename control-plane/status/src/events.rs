//! Events on the objects of users, where a condition turns.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};

use crate::Transition;

/// The API's limit on a note, in bytes (events.k8s.io/v1).
const MAX_NOTE: usize = 1024;

/// One object at most tells so many transitions at a time; its status tells the rest.
pub(crate) const MAX_EVENTS: usize = 8;

/// The Event that tells a transition.
pub(crate) fn event(transition: &Transition) -> Event {
    let mut note = transition.to_string();
    if note.len() > MAX_NOTE {
        note.truncate(note.floor_char_boundary(MAX_NOTE - 4));
        note += " ...";
    }
    Event {
        type_: match transition.is_bad() {
            true => EventType::Warning,
            false => EventType::Normal,
        },
        reason: transition.reason.to_owned(),
        note: Some(note),
        action: "StatusChanged".to_owned(),
        secondary: None,
    }
}

/// Whom it is about. Without the resource version: it is about the object, not about one state of it, and Events of a kind are counted together.
pub(crate) fn regarding(object: &kube::core::DynamicObject) -> ObjectReference {
    let types = object.types.clone().unwrap_or_default();
    ObjectReference {
        api_version: Some(types.api_version),
        kind: Some(types.kind),
        name: object.metadata.name.clone(),
        namespace: object.metadata.namespace.clone(),
        uid: object.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}
