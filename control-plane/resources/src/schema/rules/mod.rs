//! What the Gateway API CRDs demand between fields, in CEL there and by hand here.
//!
//! Runs on a document that its schema has accepted: types are right and defaults are filled in. Rules that compare with an older
//! version of the object (immutable fields), and those about parts that nobody here reads (infrastructure labels), are left out.

mod durations;
mod filters;
mod gateway;
mod matches;
mod routes;

use std::fmt::Display;

use serde_json::Value;

use super::violation::Violation;
use crate::Kind;

/// Checks a valid document of a kind against the rules between its fields.
pub(super) fn check(kind: Kind, document: &Value) -> Vec<Violation> {
    let mut found = Found::default();
    match kind {
        Kind::HTTPRoute | Kind::GRPCRoute => routes::check(document, &mut found),
        Kind::Gateway => gateway::check(document, &mut found),
        _ => {}
    }
    found.0
}

/// What is wrong so far.
#[derive(Default)]
struct Found(Vec<Violation>);

impl Found {
    /// Refuses a field if the condition does not hold.
    fn demand(&mut self, holds: bool, field: impl Display, message: &str) {
        if !holds && self.0.len() < Violation::MOST {
            self.0.push(Violation::new(field.to_string(), message));
        }
    }
}

/// The items of a list, or nothing.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The items of a list with the path of each.
fn located<'a>(value: &'a Value, path: &str) -> impl Iterator<Item = (String, &'a Value)> {
    let items = items(value).iter().enumerate();
    items.map(move |(index, item)| (format!("{path}[{index}]"), item))
}

/// A string, or the empty one.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A reference to a Service must say which port.
fn service_has_port(reference: &Value, path: &str, found: &mut Found) {
    let is_service = text(&reference["group"]).is_empty() && reference["kind"] == "Service";
    let has_port = reference["port"].is_number();
    found.demand(
        !is_service || has_port,
        path,
        "a reference to a Service needs a port",
    );
}
