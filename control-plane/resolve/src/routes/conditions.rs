//! What a route is told about each of its parents.

use super::{backends::Unresolved, read::Route};
use crate::{
    ParentRef, Problem,
    names::id,
    problem::Report,
    status::{Condition, ConditionType, Conditions, ParentStatus, RouteStatus},
};

/// Whether a parent takes a route.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Yes, as far as the parent is concerned.
    Attached,
    /// No: (reason, message).
    Refused(&'static str, String),
}

/// What a parent that is ours says: the index of its parentRef, the parentRef, its verdict, and what does not resolve.
pub(super) type Said<'a> = (usize, &'a ParentRef, &'a Verdict, &'a [Unresolved]);

/// The status of a route; `None` if no parent is ours.
pub(super) fn route_status(route: &Route, said: &[Said<'_>]) -> Option<RouteStatus> {
    let parents: Vec<_> = said
        .iter()
        .map(|(_, parent, verdict, unresolved)| parent_status(route, parent, verdict, unresolved))
        .collect();
    (!parents.is_empty()).then_some(RouteStatus { parents })
}

/// In words what its parents and backends say against a route.
pub(super) fn problems(route: &Route, said: &[Said<'_>]) -> Vec<Problem> {
    let mut report = Report::on(id(route.kind.kind(), &route.key));
    for (number, _, verdict, unresolved) in said {
        if let Verdict::Refused(_, message) = verdict {
            report.add(format!("spec.parentRefs[{number}]"), message.as_str());
        }
        for reference in *unresolved {
            report.add(
                reference.field.as_str(),
                format!("{}; its share is answered 500", reference.message),
            );
        }
    }
    report.into_problems()
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
