//! What holds for every world and every sequence of changes.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use heddle_resolve::{Resolved, Resolver, resolve};
use heddle_resources::{ChangeSet, Cluster, Object};
use proptest::{collection::vec, prelude::*};
use support::{
    object, settings,
    worlds::{Change, change, document},
};

/// Applies a batch; returns what it touched.
fn apply(cluster: &mut Cluster, batch: &[Change]) -> ChangeSet {
    let mut touched = ChangeSet::new();
    for change in batch {
        match change {
            Change::Put(document) => {
                let object: Object =
                    object(document.clone()).expect("generated objects are well-typed");
                touched.insert(object.id());
                cluster.insert(object);
            }
            Change::Remove(document) => {
                let id = object(document.clone())
                    .expect("generated objects are well-typed")
                    .id();
                cluster.remove(&id);
                touched.insert(id);
            }
        }
    }
    touched
}

/// Entries that are equal in both are the same in memory.
fn keeps<K: Ord + std::fmt::Debug, V: PartialEq>(
    old: &BTreeMap<K, Arc<V>>,
    new: &BTreeMap<K, Arc<V>>,
) -> Result<(), String> {
    for (key, value) in new {
        let equal = old.get(key).filter(|old| old == &value);
        if equal.is_some_and(|old| !Arc::ptr_eq(old, value)) {
            return Err(format!("{key:?} was copied without need"));
        }
    }
    Ok(())
}

fn keeps_what_did_not_change(old: &Resolved, new: &Resolved) -> Result<(), String> {
    keeps(&old.mesh.services, &new.mesh.services)?;
    keeps(&old.mesh.endpoints, &new.mesh.endpoints)?;
    keeps(&old.mesh.routes, &new.mesh.routes)?;
    keeps(&old.mesh.gateways, &new.mesh.gateways)?;
    keeps(&old.mesh.workloads, &new.mesh.workloads)?;
    keeps(&old.mesh.policies, &new.mesh.policies)?;
    keeps(&old.mesh.address_sets, &new.mesh.address_sets)?;
    keeps(&old.mesh.nodes, &new.mesh.nodes)?;
    keeps(&old.statuses.http_routes, &new.statuses.http_routes)?;
    keeps(&old.statuses.grpc_routes, &new.statuses.grpc_routes)?;
    keeps(&old.statuses.gateways, &new.statuses.gateways)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 4096, ..ProptestConfig::default() })]

    #[test]
    fn changes_lead_to_the_same_result_as_starting_from_scratch(
        world in vec(document(), 0..30),
        batches in vec(vec(change(), 1..4), 1..10),
    ) {
        let mut cluster = Cluster::default();
        let mut resolver = Resolver::new(settings());
        let world: Vec<Change> = world.into_iter().map(Change::Put).collect();
        let touched = apply(&mut cluster, &world);
        resolver.update(&Arc::new(cluster.clone()), &touched);
        for batch in &batches {
            let touched = apply(&mut cluster, batch);
            let before = resolver.resolved().clone();
            let incremental = resolver.update(&Arc::new(cluster.clone()), &touched).clone();
            let scratch = resolve(&cluster, &settings());
            prop_assert_eq!(&incremental.mesh, &scratch.mesh);
            prop_assert_eq!(&incremental.statuses, &scratch.statuses);
            prop_assert_eq!(&incremental.problems, &scratch.problems);
            prop_assert_eq!(keeps_what_did_not_change(&before, &incremental), Ok(()));
        }
    }

    #[test]
    fn the_order_of_changes_does_not_matter(documents in vec(document(), 1..20), seed in any::<u64>()) {
        // One version of each object: two would make the last one win.
        let objects: BTreeMap<_, _> = documents
            .into_iter()
            .map(|document| object(document).expect("generated objects are well-typed"))
            .map(|object| (object.id(), object))
            .collect();
        let mut shuffled: Vec<&Object> = objects.values().collect();
        shuffled.sort_by_key(|object| blake3::hash(format!("{seed}{}", object.id()).as_bytes()).to_hex().to_string());
        let mut cluster = Cluster::default();
        let mut resolver = Resolver::new(settings());
        for object in shuffled {
            cluster.insert(object.clone());
            resolver.update(&Arc::new(cluster.clone()), &ChangeSet::from([object.id()]));
        }
        let at_once = resolve(&support::cluster(objects.into_values()), &settings());
        prop_assert_eq!(resolver.resolved(), &at_once);
    }

    #[test]
    fn naming_more_changes_than_there_are_does_no_harm(documents in vec(document(), 1..12)) {
        let mut cluster = Cluster::default();
        let mut resolver = Resolver::new(settings());
        let all: Vec<Change> = documents.into_iter().map(Change::Put).collect();
        let touched = apply(&mut cluster, &all);
        let cluster = Arc::new(cluster);
        let before = resolver.update(&cluster, &touched).clone();
        let again = resolver.update(&cluster, &touched);
        prop_assert_eq!(&before, again);
        prop_assert_eq!(keeps_what_did_not_change(&before, again), Ok(()));
    }

    #[test]
    fn removing_everything_leaves_nothing(documents in vec(document(), 1..20)) {
        let mut cluster = Cluster::default();
        let mut resolver = Resolver::new(settings());
        let empty = resolver.resolved().clone();
        let all: Vec<Change> = documents.iter().cloned().map(Change::Put).collect();
        let touched = apply(&mut cluster, &all);
        resolver.update(&Arc::new(cluster), &touched);
        resolver.update(&Arc::new(Cluster::default()), &touched);
        prop_assert_eq!(resolver.resolved(), &empty);
    }
}
