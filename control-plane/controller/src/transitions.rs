//! Tells each condition of an object when it becomes another.

use std::{collections::BTreeMap, fmt::Display, sync::Arc};

use heddle_resolve::{Condition, ParentRef, RouteStatus, Statuses};

/// One line for each condition that is new or other than before. Costs little where little changed: entries that are the same value in
/// memory are not looked into.
pub(crate) fn between(old: &Statuses, new: &Statuses) -> Vec<String> {
    let mut lines = changed("HTTPRoute", &old.http_routes, &new.http_routes, of_route);
    lines.extend(changed(
        "GRPCRoute",
        &old.grpc_routes,
        &new.grpc_routes,
        of_route,
    ));
    lines.extend(changed(
        "Gateway",
        &old.gateways,
        &new.gateways,
        |gateway| {
            let own = gateway
                .conditions
                .iter()
                .map(|condition| (String::new(), condition));
            let listeners = gateway.listeners.iter().flat_map(|listener| {
                let place = format!(" listener {}", listener.name);
                listener
                    .conditions
                    .iter()
                    .map(move |condition| (place.clone(), condition))
            });
            own.chain(listeners).collect()
        },
    ));
    lines.extend(changed(
        "GatewayClass",
        &old.gateway_classes,
        &new.gateway_classes,
        |class| {
            class
                .conditions
                .iter()
                .map(|condition| (String::new(), condition))
                .collect()
        },
    ));
    lines
}

/// Conditions, each with the part of the object that it is about.
type Places<'a> = Vec<(String, &'a Condition)>;

fn changed<K: Display + Ord, T>(
    kind: &str,
    old: &BTreeMap<K, Arc<T>>,
    new: &BTreeMap<K, Arc<T>>,
    conditions: impl Fn(&T) -> Places<'_>,
) -> Vec<String> {
    let mut lines = Vec::new();
    for (key, status) in new {
        let last = old.get(key);
        if last.is_some_and(|last| Arc::ptr_eq(last, status)) {
            continue;
        }
        let known = last.map(|last| conditions(last)).unwrap_or_default();
        for (place, condition) in conditions(status) {
            let is_known = known
                .iter()
                .any(|(at, one)| *at == place && says_the_same(one, condition));
            if !is_known {
                lines.push(format!("{kind} {key}{place}: {}", line(condition)));
            }
        }
    }
    lines
}

fn of_route(route: &RouteStatus) -> Places<'_> {
    let parents = route.parents.iter().flat_map(|parent| {
        let place = place(&parent.parent_ref);
        parent
            .conditions
            .iter()
            .map(move |condition| (place.clone(), condition))
    });
    parents.collect()
}

fn place(parent: &ParentRef) -> String {
    let kind = parent.kind.as_deref().unwrap_or("Gateway");
    let mut place = format!(" at {kind} {}", parent.name);
    if let Some(section) = &parent.section_name {
        place += &format!(" section {section}");
    }
    if let Some(port) = parent.port {
        place += &format!(" port {port}");
    }
    place
}

/// The generation that it speaks of does not matter: an edit that changes no condition is no news.
fn says_the_same(one: &Condition, other: &Condition) -> bool {
    let key = |condition: &Condition| (condition.r#type, condition.status, condition.reason);
    key(one) == key(other) && one.message == other.message
}

fn line(condition: &Condition) -> String {
    let (name, status) = (condition.r#type.as_str(), condition.status);
    let line = format!("{name} is {status} ({})", condition.reason);
    match condition.message.as_str() {
        "" => line,
        message => format!("{line}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use heddle_model::ObjectKey;
    use heddle_resolve::{ConditionType, ParentStatus};

    use super::*;

    fn route(status: bool, generation: i64) -> Statuses {
        let condition = Condition {
            r#type: ConditionType::ResolvedRefs,
            status,
            reason: if status {
                "ResolvedRefs"
            } else {
                "BackendNotFound"
            },
            message: if status { "" } else { "no Service x" }.to_owned(),
            observed_generation: Some(generation),
        };
        let parent = ParentStatus {
            parent_ref: ParentRef {
                name: "web".to_owned(),
                section_name: Some("http".to_owned()),
                ..ParentRef::default()
            },
            conditions: vec![condition],
        };
        let key = ObjectKey::new("shop".parse().unwrap(), "cart");
        let status = RouteStatus {
            parents: vec![parent],
        };
        Statuses {
            http_routes: [(key, Arc::new(status))].into(),
            ..Statuses::default()
        }
    }

    #[test]
    fn a_condition_is_told_when_it_is_new_and_when_it_becomes_another() {
        let (good, edited, bad) = (route(true, 1), route(true, 2), route(false, 3));
        let told = between(&Statuses::default(), &good);
        assert_eq!(
            told,
            [
                "HTTPRoute shop/cart at Gateway web section http: ResolvedRefs is true (ResolvedRefs)"
            ]
        );
        assert_eq!(between(&good, &edited), [""; 0]);
        let told = between(&edited, &bad);
        assert_eq!(
            told,
            [
                "HTTPRoute shop/cart at Gateway web section http: ResolvedRefs is false (BackendNotFound): no Service x"
            ]
        );
        assert_eq!(between(&bad, &Statuses::default()), [""; 0]);
    }
}
