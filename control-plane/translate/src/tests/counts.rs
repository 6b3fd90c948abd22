//! A change costs what it touches.

use std::sync::Arc;

use heddle_model::*;

use super::builders::*;
use crate::{Counts, Translator};

/// The work that one more update is, after the full mesh.
fn work(change: impl FnOnce(&mut Mesh)) -> Counts {
    let mut mesh = full();
    let mut translator = Translator::new();
    translator.update(&mesh, ROOTS);
    change(&mut mesh);
    translator.update(&mesh, ROOTS).counts
}

fn one() -> Counts {
    Counts {
        encoded: 1,
        changed: 1,
        removed: 0,
    }
}

#[test]
fn one_changed_endpoint_rebuilds_exactly_one_resource() {
    let counts = work(|mesh| {
        let known = mesh.endpoints.get_mut(&port_key(0, 80)).unwrap();
        let mut changed = (**known).clone();
        changed.endpoints.push(Endpoint {
            address: ip(77),
            port: port(8080),
            health: EndpointHealth::Ready,
            node: None,
            zone: None,
            hostname: None,
        });
        *known = Arc::new(changed);
    });
    assert_eq!(counts, one());
}

#[test]
fn one_changed_route_rebuilds_its_route_table_of_each_view() {
    let counts = work(|mesh| {
        let known = mesh.routes.get_mut(&table_key(0)).unwrap();
        let mut changed = (**known).clone();
        changed.rules.reverse();
        *known = Arc::new(changed);
    });
    let of_both_views = Counts {
        encoded: 2,
        changed: 2,
        removed: 0,
    };
    assert_eq!(counts, of_both_views);
}

#[test]
fn one_more_pod_in_a_selector_rebuilds_one_address_set() {
    let counts = work(|mesh| change(mesh, 6, 0, Some(4)));
    assert_eq!(counts, one());
}

#[test]
fn a_changed_policy_rebuilds_the_listeners_of_its_pod() {
    let counts = work(|mesh| {
        let key = mesh
            .workloads
            .values()
            .find(|pod| served(pod))
            .unwrap()
            .key
            .clone();
        let known = mesh.policies.get_mut(&key).unwrap();
        let mut changed = (**known).clone();
        changed.mtls = match changed.mtls {
            MtlsMode::Strict => MtlsMode::Permissive,
            MtlsMode::Permissive => MtlsMode::Strict,
        };
        *known = Arc::new(changed);
    });
    assert_eq!(counts, one());
}

fn served(pod: &Workload) -> bool {
    pod.enrolment == Enrolment::Mesh && pod.node.is_some() && !pod.host_network
}

#[test]
fn the_same_mesh_again_is_no_work_and_the_same_snapshot() {
    let mesh = full();
    let mut translator = Translator::new();
    let first = translator.update(&mesh, ROOTS);
    let second = translator.update(&mesh.clone(), ROOTS);
    assert_eq!(second.counts, Counts::default());
    assert!(Arc::ptr_eq(&first.snapshot, &second.snapshot));
}

#[test]
fn equal_entries_at_other_addresses_are_no_work() {
    let mut translator = Translator::new();
    translator.update(&full(), ROOTS);
    assert_eq!(translator.update(&full(), ROOTS).counts, Counts::default());
}

#[test]
fn a_pods_version_is_no_part_of_its_listener() {
    let counts = work(|mesh| {
        let key = mesh
            .workloads
            .values()
            .find(|pod| served(pod))
            .unwrap()
            .key
            .clone();
        let mut changed = (*mesh.workloads[&key]).clone();
        changed.version = "other".into();
        mesh.workloads.insert(key, Arc::new(changed));
    });
    assert_eq!(counts, one(), "the Workload only");
}

#[test]
fn what_is_encoded_to_the_same_bytes_again_is_no_change() {
    let counts = work(|mesh| {
        let known = mesh.routes.get_mut(&table_key(0)).unwrap();
        let mut changed = (**known).clone();
        for rule in &mut changed.rules {
            let RouteAction::Forward { backends, .. } = &mut Arc::make_mut(rule).action else {
                continue;
            };
            for weighted in backends {
                if let Backend::Invalid { reason } = &mut weighted.backend {
                    *reason = "for another reason, which is not sent".into();
                }
            }
        }
        assert_ne!(**known, changed);
        *known = Arc::new(changed);
    });
    let encoded_in_vain = Counts {
        encoded: 2,
        ..Counts::default()
    };
    assert_eq!(counts, encoded_in_vain);
}

#[test]
fn a_mesh_that_is_gone_leaves_only_the_local_cluster() {
    let mut translator = Translator::new();
    let before = translator.update(&full(), ROOTS).counts;
    let after = translator.update(&empty(), "");
    assert_eq!(after.counts.removed, before.changed - 1);
    let left: usize = after
        .snapshot
        .types
        .values()
        .map(|resources| resources.len())
        .sum();
    assert_eq!(left, 1);
}

#[test]
fn new_roots_are_one_changed_secret() {
    let mut translator = Translator::new();
    translator.update(&full(), ROOTS);
    assert_eq!(translator.update(&full(), "other roots").counts, one());
}
