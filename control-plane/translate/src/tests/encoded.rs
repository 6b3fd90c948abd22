//! Routes that did not change are not encoded again, and nobody can see it.

use std::{collections::HashSet, sync::Arc};

use heddle_model::{GatewayListener, Mesh, RouteRule};
use heddle_proto::{Message, envoy::config::route::v3::RouteConfiguration, type_url};
use proptest::prelude::*;

use super::builders::*;
use crate::{Translator, translate};

fn rules(mesh: &Mesh) -> impl Iterator<Item = &Arc<RouteRule>> {
    let tables = mesh.routes.values().flat_map(|table| &table.rules);
    let hosts = mesh.gateways.values().flat_map(|listener| &listener.hosts);
    tables.chain(hosts.flat_map(|host| &host.rules))
}

/// How many routes are known by their bytes.
fn known(mesh: &Mesh) -> usize {
    rules(mesh).map(Arc::as_ptr).collect::<HashSet<_>>().len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_put_together_is_what_encoding_at_once_gives(
        changes in prop::collection::vec((0..9_usize, 0..6_usize, 0..60_usize), 1..40),
    ) {
        let mut mesh = empty();
        for (kind, index, variant) in changes {
            change(&mut mesh, kind, index, Some(variant));
        }
        let snapshot = translate(&mesh, ROOTS);
        for types in [&snapshot.types, &snapshot.envoy] {
            for resource in types.get(type_url::ROUTE_CONFIGURATION).into_iter().flat_map(|all| all.values()) {
                let read = RouteConfiguration::decode(&resource.body[..]).unwrap();
                prop_assert_eq!(&read.encode_to_vec()[..], &resource.body[..], "{}", &resource.name);
            }
        }
    }

    #[test]
    fn only_the_rules_that_exist_are_kept(
        batches in prop::collection::vec(prop::collection::vec((0..9_usize, 0..6_usize, prop::option::of(0..60_usize)), 1..8), 1..6),
    ) {
        let mut translator = Translator::new();
        let mut mesh = empty();
        for batch in batches {
            for (kind, index, variant) in batch {
                change(&mut mesh, kind, index, variant);
            }
            translator.update(&mesh, ROOTS);
            // A table of a port that is not served is read by nobody.
            prop_assert!(translator.known_routes() <= known(&mesh));
        }
        mesh = empty();
        translator.update(&mesh, ROOTS);
        prop_assert_eq!(translator.known_routes(), 0);
    }
}

#[test]
fn both_editions_share_the_routes_of_a_gateway() {
    let mut mesh = empty();
    mesh.gateways
        .insert(gateway_key(0), Arc::new(gateway(0, 1)));
    let mut translator = Translator::new();
    translator.update(&mesh, ROOTS);
    assert_eq!(translator.known_routes(), known(&mesh));
}

#[test]
fn a_changed_rule_is_encoded_alone() {
    let mut mesh = empty();
    let mut listener: GatewayListener = gateway(0, 1);
    listener.hosts[0].rules = (0..200).map(|variant| Arc::new(rule(0, variant))).collect();
    mesh.gateways
        .insert(gateway_key(0), Arc::new(listener.clone()));
    let mut translator = Translator::new();
    translator.update(&mesh, ROOTS);
    let before = translator.routes_encoded();

    listener.hosts[0].rules[77] = Arc::new(rule(0, 777));
    mesh.gateways.insert(gateway_key(0), Arc::new(listener));
    let update = translator.update(&mesh, ROOTS);
    assert_eq!(translator.routes_encoded() - before, 1);
    assert_eq!((update.counts.changed, update.envoy.changed), (1, 1));
    let scratch = translate(&mesh, ROOTS);
    for (of, scratch) in [
        (&update.snapshot.types, &scratch.types),
        (&update.snapshot.envoy, &scratch.envoy),
    ] {
        assert_eq!(
            of[type_url::ROUTE_CONFIGURATION],
            scratch[type_url::ROUTE_CONFIGURATION]
        );
    }
}
