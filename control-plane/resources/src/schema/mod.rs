//! What a document of each kind may look like: fields, types, limits and defaults.
//!
//! A Kubernetes API server refuses what breaks the schema of a kind and fills in defaults. A folder of YAML has no API server,
//! so this does the same, from the same schemas: those of the published CRDs for Gateway API (`schemas/*.json`, written by
//! `generate.sh`), those of the OpenAPI document for Kubernetes' own kinds, and our own types' for ours. What the CRDs say
//! in CEL is written by hand in [`rules`]. Defaults that Kubernetes' own kinds get from code in the API server (a port's
//! protocol, a policy's `policyTypes`) are not applied here: whoever reads those fields knows them.

mod build;
mod check;
mod rules;
mod shape;
mod violation;

use std::sync::OnceLock;

use serde_json::Value;

pub use violation::Violation;

use crate::Kind;
use shape::Schema;

/// Checks a document of a kind against its schema, filling in defaults and removing nulls, and against the rules between fields.
/// Returns everything that is wrong with it, at most [`Violation::MOST`]; empty: it is valid.
pub(crate) fn check(kind: Kind, document: &mut Value) -> Vec<Violation> {
    let violations = check::check(of(kind), document);
    if violations.is_empty() {
        rules::check(kind, document)
    } else {
        violations
    }
}

/// The schema of a kind, built when it is first needed.
fn of(kind: Kind) -> &'static Schema {
    static SCHEMAS: [OnceLock<Schema>; Kind::ALL.len()] =
        [const { OnceLock::new() }; Kind::ALL.len()];
    SCHEMAS[kind as usize].get_or_init(|| build::build(kind))
}

#[cfg(test)]
mod tests;
