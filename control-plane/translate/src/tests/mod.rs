//! Tests of the translator as a whole. What single resources look like is in the golden folders (`tests/golden`).

mod builders;
mod counts;
mod encoded;
mod incremental;
mod references;
mod rewrites;
mod wire_format;

use std::sync::Arc;

use heddle_snapshot::{Resource, Snapshot};

/// One resource, which must exist.
fn resource<'a>(snapshot: &'a Snapshot, type_url: &str, name: &str) -> &'a Arc<Resource> {
    snapshot.types[type_url]
        .get(name)
        .unwrap_or_else(|| panic!("there is no {name} of type {type_url}"))
}

/// Everything that a stream could tell apart, in both editions.
fn contents(snapshot: &Snapshot) -> Vec<(&str, &str, String, &[u8])> {
    let editions = [&snapshot.types, &snapshot.envoy];
    editions
        .into_iter()
        .flat_map(|types| types.values())
        .flat_map(|resources| resources.values())
        .map(|resource| {
            let about = format!("{:?} {:?}", resource.scope, resource.origin);
            (
                resource.type_url,
                &*resource.name,
                about,
                &resource.delta[..],
            )
        })
        .collect()
}
