//! What a route is told about each of its parents.

use std::collections::BTreeMap;

use super::{backends::Unresolved, read::Route};
use crate::{
    ParentRef, Problem,
    names::id,
    status::{Condition, ConditionType, Conditions, ParentStatus, RouteStatus},
};

/// Whether a parent takes a route.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Yes, as far as the parent is concerned.
    Attached,
    /// No: (reason, message).
    Refused(&'static str, String),
}

/// What one kind of parents says about the routes.
pub(crate) struct Links<'a> {
    pub(crate) verdicts: &'a BTreeMap<(usize, usize), Verdict>,
    pub(crate) unresolved: Option<&'a Vec<Unresolved>>,
}

/// The status of a route, and in words what its parents and backends say against it; `None` if no parent is ours.
pub(crate) fn route_status(
    index: usize,
    route: &Route,
    links: &[Links<'_>],
    problems: &mut Vec<Problem>,
) -> Option<RouteStatus> {
    let object = id(route.kind.kind(), &route.key);
    let mut add = |field: String, message: &str| {
        problems.push(Problem {
            object: object.clone(),
            field,
            message: message.to_owned(),
        });
    };
    let mut parents = Vec::new();
    for (number, parent) in route.parents.iter().enumerate() {
        for link in links {
            let Some(verdict) = link.verdicts.get(&(index, number)) else {
                continue;
            };
            if let Verdict::Refused(_, message) = verdict {
                add(format!("spec.parentRefs[{number}]"), message);
            }
            let unresolved = link.unresolved.map(Vec::as_slice).unwrap_or_default();
            for reference in unresolved {
                add(
                    reference.field.clone(),
                    &format!("{}; its share is answered 500", reference.message),
                );
            }
            parents.push(parent_status(route, parent, verdict, unresolved));
        }
    }
    (!parents.is_empty()).then_some(RouteStatus { parents })
}

/// The entry for one parentRef.
fn parent_status(
    route: &Route,
    parent: &ParentRef,
    verdict: &Verdict,
    unresolved: &[Unresolved],
) -> ParentStatus {
    let conditions = Conditions {
        generation: route.generation,
    };
    let mut stated = vec![
        accepted(route, verdict, conditions),
        resolved_refs(unresolved, conditions),
    ];
    stated.extend(partially_invalid(route, verdict, conditions));
    ParentStatus {
        parent_ref: parent.clone(),
        conditions: stated,
    }
}

fn is_broken(route: &Route) -> bool {
    !route.broken.is_empty() && route.broken.len() == route.written_rules
}

fn messages(route: &Route) -> String {
    let all: Vec<&str> = route
        .broken
        .iter()
        .map(|broken| broken.message.as_str())
        .take(4)
        .collect();
    let more = route.broken.len().saturating_sub(all.len());
    let mut text = all.join("; ");
    if more > 0 {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

fn accepted(route: &Route, verdict: &Verdict, conditions: Conditions) -> Condition {
    match (verdict, route.broken.first()) {
        (Verdict::Refused(reason, message), _) => {
            conditions.no(ConditionType::Accepted, reason, message.as_str())
        }
        (Verdict::Attached, Some(first)) if is_broken(route) => {
            conditions.no(ConditionType::Accepted, first.reason, messages(route))
        }
        _ => conditions.yes(ConditionType::Accepted, "Accepted"),
    }
}

fn partially_invalid(
    route: &Route,
    verdict: &Verdict,
    conditions: Conditions,
) -> Option<Condition> {
    let first = route.broken.first()?;
    if is_broken(route) || matches!(verdict, Verdict::Refused(..)) {
        return None;
    }
    Some(conditions.state(
        ConditionType::PartiallyInvalid,
        true,
        first.reason,
        messages(route),
    ))
}

fn resolved_refs(unresolved: &[Unresolved], conditions: Conditions) -> Condition {
    match unresolved.first() {
        None => conditions.yes(ConditionType::ResolvedRefs, "ResolvedRefs"),
        Some(first) => {
            let message = format!("{}: {}", first.field, first.message);
            conditions.no(ConditionType::ResolvedRefs, first.reason, message)
        }
    }
}
