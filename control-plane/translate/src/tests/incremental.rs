//! Whatever the history, the result is that of a fresh start.

use std::sync::Arc;

use heddle_snapshot::Snapshot;
use proptest::prelude::*;

use super::{builders::*, contents};
use crate::{Translator, render, translate};

/// (kind, index, variant), see [`change`].
type Step = (usize, usize, Option<usize>);

fn steps() -> impl Strategy<Value = Vec<Vec<Step>>> {
    let step = (
        0..9_usize,
        0..6_usize,
        prop::option::weighted(0.8, 0..60_usize),
    );
    prop::collection::vec(prop::collection::vec(step, 1..8), 1..12)
}

fn equal(left: &Snapshot, right: &Snapshot) -> Result<(), TestCaseError> {
    prop_assert_eq!(contents(left), contents(right));
    prop_assert_eq!(&left.placement, &right.placement);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn incremental_equals_from_scratch(batches in steps()) {
        let mut translator = Translator::new();
        let mut mesh = empty();
        for batch in batches {
            for (kind, index, variant) in batch {
                change(&mut mesh, kind, index, variant);
            }
            let update = translator.update(&mesh, ROOTS);
            equal(&update.snapshot, &translate(&mesh, ROOTS))?;
        }
    }

    #[test]
    fn what_did_not_change_is_the_same_resource(before in steps(), after in steps()) {
        let mut translator = Translator::new();
        let mut mesh = empty();
        for (kind, index, variant) in before.concat() {
            change(&mut mesh, kind, index, variant);
        }
        let old = translator.update(&mesh, ROOTS).snapshot;
        for (kind, index, variant) in after.concat() {
            change(&mut mesh, kind, index, variant);
        }
        let new = translator.update(&mesh, ROOTS).snapshot;
        for (type_url, resources) in &new.types {
            for (name, resource) in &**resources {
                let known = old.types.get(type_url).and_then(|types| types.get(name));
                let same = known.is_some_and(|known| known == resource && known.origin == resource.origin);
                prop_assert_eq!(same, known.is_some_and(|known| Arc::ptr_eq(known, resource)));
            }
        }
    }

    #[test]
    fn every_resource_can_be_shown(batches in steps()) {
        let mut mesh = empty();
        for (kind, index, variant) in batches.concat() {
            change(&mut mesh, kind, index, variant);
        }
        for (_, resources) in render::snapshot(&translate(&mesh, ROOTS)) {
            let text = render::yaml(&resources);
            prop_assert!(!text.contains("malformed"), "{text}");
            prop_assert!(!text.contains(": null"), "{text}");
            prop_assert!(!text.contains("'?'") && !text.contains(": ?"), "{text}");
        }
    }
}

/// What is made from several parts has to follow each of them alone.
#[test]
fn each_lone_change_of_a_full_mesh_equals_a_fresh_start() {
    let mut mesh = full();
    // A pod whose own library speaks xDS, with rules that name selectors.
    change(&mut mesh, 4, 1, Some(13));
    change(&mut mesh, 5, 1, Some(10));
    let mut translator = Translator::new();
    translator.update(&mesh, ROOTS);
    for kind in 0..8 {
        for (index, variant) in (0..6).flat_map(|index| (0..8).map(move |to| (index, to))) {
            let mut changed = mesh.clone();
            change(&mut changed, kind, index, (variant > 0).then_some(variant));
            // There and back again.
            for mesh in [&changed, &mesh] {
                let update = translator.update(mesh, ROOTS);
                let fresh = translate(mesh, ROOTS);
                assert!(
                    contents(&update.snapshot) == contents(&fresh),
                    "{kind} {index} {variant}"
                );
            }
        }
    }
}

#[test]
fn the_same_mesh_gives_the_same_bytes_each_time() {
    // Each translator has hash maps of its own, with other seeds.
    let first = translate(&full(), ROOTS);
    for _ in 0..20 {
        assert_eq!(contents(&first), contents(&translate(&full(), ROOTS)));
    }
}
