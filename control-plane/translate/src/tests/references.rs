//! What is referred to exists.

use std::collections::BTreeSet;

use heddle_proto::{Message, envoy::config::cluster::v3::Cluster, type_url};
use heddle_snapshot::Snapshot;
use serde_json::Value;

use super::builders::*;
use crate::{render, translate};

fn names(snapshot: &Snapshot, type_url: &str) -> BTreeSet<String> {
    let resources = snapshot.types.get(type_url);
    resources
        .into_iter()
        .flat_map(|types| types.keys())
        .map(ToString::to_string)
        .collect()
}

/// All texts under a key, at any depth.
fn texts_under<'a>(value: &'a Value, key: &str, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let (true, Value::String(text)) = (name == key, value) {
                    found.insert(text);
                }
                texts_under(value, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts_under(item, key, found)),
        _ => {}
    }
}

#[test]
fn each_eds_cluster_has_its_endpoints() {
    let snapshot = translate(&full(), ROOTS);
    let endpoints = names(&snapshot, type_url::CLUSTER_LOAD_ASSIGNMENT);
    for resource in snapshot.types[type_url::CLUSTER].values() {
        let cluster = Cluster::decode(&resource.body[..]).unwrap();
        if let Some(eds) = cluster.eds_cluster_config {
            assert!(endpoints.contains(&eds.service_name), "{}", resource.name);
        }
    }
}

#[test]
fn each_listener_has_its_routes_for_the_same_nodes() {
    let snapshot = translate(&full(), ROOTS);
    for listener in snapshot.types[type_url::LISTENER].values() {
        let shown = render::resource_value(listener);
        let mut tables = BTreeSet::new();
        texts_under(&shown, "route_config_name", &mut tables);
        for table in tables {
            let routes = super::resource(&snapshot, type_url::ROUTE_CONFIGURATION, table);
            assert_eq!(routes.scope, listener.scope, "{table}");
        }
    }
}

#[test]
fn no_route_table_is_without_a_listener() {
    let snapshot = translate(&full(), ROOTS);
    let listeners = names(&snapshot, type_url::LISTENER);
    let tables = names(&snapshot, type_url::ROUTE_CONFIGURATION);
    assert!(
        tables.is_subset(&listeners),
        "{:?}",
        tables.difference(&listeners)
    );
}

#[test]
fn each_name_in_dns_refers_to_a_cluster_that_exists() {
    let snapshot = translate(&full(), ROOTS);
    let clusters = names(&snapshot, type_url::CLUSTER);
    for table in snapshot.types[type_url::DNS_TABLE].values() {
        let shown = render::resource_value(table);
        let mut referred = BTreeSet::new();
        texts_under(&shown, "cluster_name", &mut referred);
        for cluster in referred {
            assert!(clusters.contains(cluster), "{cluster}");
        }
    }
}
