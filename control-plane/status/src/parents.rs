//! `status.parents` of a route: a list in which every controller has its own entries (GEP-1364).

use heddle_resolve::{ConditionType, ParentRef, ParentStatus, RouteStatus};
use serde_json::{Value, json};

use crate::{Context, Transition, conditions::Merge, patch::Fields};

/// The conditions of an entry that are ours to state.
const OWNED: &[ConditionType] = &[
    ConditionType::Accepted,
    ConditionType::ResolvedRefs,
    ConditionType::PartiallyInvalid,
    ConditionType::Programmed,
];

pub(crate) fn fields(
    current: &Value,
    wanted: &RouteStatus,
    context: &Context<'_>,
    transitions: &mut Vec<Transition>,
) -> Fields {
    let known = current["parents"].as_array();
    let known = known.map(Vec::as_slice).unwrap_or_default();
    let entries = pair(known, &wanted.parents, context);
    let mut parents: Vec<Value> = Vec::with_capacity(known.len() + wanted.parents.len());
    let mut write =
        |known: Option<&Value>, parent: &ParentStatus| entry(known, parent, context, transitions);
    for (index, known) in known.iter().enumerate() {
        let ours = entries.iter().position(|at| *at == Some(index));
        match ours {
            Some(number) => parents.push(write(Some(known), &wanted.parents[number])),
            None if is_ours(known, context) => {}
            None => parents.push(known.clone()),
        }
    }
    for (at, parent) in entries.iter().zip(&wanted.parents) {
        if at.is_none() {
            parents.push(write(None, parent));
        }
    }
    vec![("parents", Value::Array(parents))]
}

fn is_ours(entry: &Value, context: &Context<'_>) -> bool {
    entry["controllerName"].as_str() == Some(context.controller)
}

/// Whether a known parentRef is a wanted one.
type Rule<'a> = &'a dyn Fn(&Value, &ParentRef) -> bool;

/// For each wanted entry the known one that it replaces: written the same if there is one, else one that means the same parent.
fn pair(known: &[Value], wanted: &[ParentStatus], context: &Context<'_>) -> Vec<Option<usize>> {
    let mut pairs = vec![None; wanted.len()];
    let exactly: Rule<'_> = &|known, wanted| *known == written(wanted);
    let in_meaning: Rule<'_> =
        &|known, wanted| Meaning::of(known, context) == Meaning::of(&written(wanted), context);
    for matches in [exactly, in_meaning] {
        for (number, parent) in wanted.iter().enumerate() {
            if pairs[number].is_some() {
                continue;
            }
            pairs[number] = known
                .iter()
                .enumerate()
                .filter(|(index, entry)| is_ours(entry, context) && !pairs.contains(&Some(*index)))
                .find(|(_, entry)| matches(&entry["parentRef"], &parent.parent_ref))
                .map(|(index, _)| index);
        }
    }
    pairs
}

/// A parentRef with its defaults filled in, so that two ways to write it are equal.
#[derive(PartialEq)]
struct Meaning<'a> {
    group: &'a str,
    kind: &'a str,
    namespace: &'a str,
    name: &'a str,
    section: &'a str,
    port: Option<i64>,
}

impl<'a> Meaning<'a> {
    fn of(parent: &'a Value, context: &Context<'a>) -> Self {
        let text = |field: &str, default: &'a str| parent[field].as_str().unwrap_or(default);
        Self {
            // `core` is how some write the group of Service.
            group: match text("group", "gateway.networking.k8s.io") {
                "core" => "",
                group => group,
            },
            kind: text("kind", "Gateway"),
            namespace: text("namespace", context.namespace),
            name: text("name", ""),
            section: text("sectionName", ""),
            port: parent["port"].as_i64(),
        }
    }
}

/// A parentRef as it is written in the spec.
fn written(parent: &ParentRef) -> Value {
    serde_json::to_value(parent).unwrap_or_default()
}

fn entry(
    known: Option<&Value>,
    wanted: &ParentStatus,
    context: &Context<'_>,
    transitions: &mut Vec<Transition>,
) -> Value {
    let parent = &wanted.parent_ref;
    let place = place(parent);
    let merge = Merge {
        owned: OWNED,
        place: &place,
        now: context.now,
    };
    let current = known.map_or(&Value::Null, |known| &known["conditions"]);
    json!({
        "parentRef": written(parent),
        "controllerName": context.controller,
        "conditions": merge.apply(current, &wanted.conditions, transitions),
    })
}

/// What to call a parent.
fn place(parent: &ParentRef) -> String {
    let kind = parent.kind.as_deref().unwrap_or("Gateway");
    let mut place = format!("parent {kind} ");
    if let Some(namespace) = &parent.namespace {
        place += &format!("{namespace}/");
    }
    place += &parent.name;
    if let Some(section) = &parent.section_name {
        place += &format!(" section {section}");
    }
    if let Some(port) = parent.port {
        place += &format!(" port {port}");
    }
    place
}
