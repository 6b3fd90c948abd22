//! Resources as readable text, for golden files and `heddle translate`.
//!
//! Reads back what the other modules wrote, field by field, under Envoy's own names, so that a reader can look them up in
//! Envoy's documentation. Shortened where nothing is lost: addresses are `10.0.0.1:80`, blocks `10.0.0.0/8`, durations
//! `1.5s`, packed messages carry `@type`. Fields that Heddle never sets are not read.

mod cluster;
mod dns;
mod fields;
mod filter;
mod listener;
mod own;
mod rbac;
mod route;

use std::collections::BTreeMap;

use heddle_proto::{Message, envoy::extensions::transport_sockets::tls::v3 as tls, type_url};
use heddle_snapshot::{Resource, ResourcesByType, Scope, Snapshot, TypeUrl};
use serde_json::{Value, json};

use self::fields::Fields;

/// Short names of the resource types, in the order in which they are shown.
const KINDS: [(&str, TypeUrl); 8] = [
    ("listeners", type_url::LISTENER),
    ("routes", type_url::ROUTE_CONFIGURATION),
    ("clusters", type_url::CLUSTER),
    ("endpoints", type_url::CLUSTER_LOAD_ASSIGNMENT),
    ("workloads", type_url::WORKLOAD),
    ("address_sets", type_url::ADDRESS_SET),
    ("dns", type_url::DNS_TABLE),
    ("secrets", type_url::SECRET),
];

/// All resources but those of gRPC's own view: kind → name → content. Kinds without any are left out.
pub fn snapshot(snapshot: &Snapshot) -> Vec<(&'static str, BTreeMap<String, Value>)> {
    kinds(&snapshot.types)
}

/// The same of the edition for Envoys.
pub fn envoy(snapshot: &Snapshot) -> Vec<(&'static str, BTreeMap<String, Value>)> {
    kinds(&snapshot.envoy)
}

fn kinds(types: &ResourcesByType) -> Vec<(&'static str, BTreeMap<String, Value>)> {
    KINDS
        .iter()
        .filter_map(|(kind, type_url)| {
            let resources: BTreeMap<String, Value> = types
                .get(type_url)?
                .iter()
                .filter(|(_, resource)| {
                    !matches!(resource.scope, Scope::Grpc | Scope::GrpcServer(_))
                })
                .map(|(name, resource)| (name.to_string(), resource_value(resource)))
                .collect();
            (!resources.is_empty()).then_some((*kind, resources))
        })
        .collect()
}

/// One resource: who sees it (unless all node proxies do), what it was made from, and its content.
pub fn resource_value(resource: &Resource) -> Value {
    let scope = match &resource.scope {
        Scope::Nodes | Scope::Everyone => String::new(),
        Scope::Grpc => "gRPC clients".to_owned(),
        Scope::GrpcServer(identity) => format!("gRPC server {identity}"),
        Scope::Node(node) => format!("node {node}"),
        Scope::NodesWithNamespace(namespace) => format!("nodes with pods of {namespace}"),
        Scope::Envoys => "Envoys".to_owned(),
        Scope::Gateway(gateway) => format!("Envoys of Gateway {gateway}"),
        Scope::Clients => "Envoys that are an outbound proxy".to_owned(),
    };
    let origin = resource.origin.iter().map(|object| json!(&**object));
    Fields::new()
        .text("#scope", &scope)
        .list("#origin", origin)
        .join(content(resource))
        .value()
}

/// Any value of this module as YAML.
pub fn yaml(value: &impl serde::Serialize) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
}

fn content(resource: &Resource) -> Value {
    let body = &resource.body;
    match resource.type_url {
        type_url::LISTENER => decoded(body, listener::listener),
        type_url::ROUTE_CONFIGURATION => decoded(body, route::configuration),
        type_url::CLUSTER => decoded(body, cluster::cluster),
        type_url::CLUSTER_LOAD_ASSIGNMENT => decoded(body, cluster::load_assignment),
        type_url::WORKLOAD => decoded(body, own::workload),
        type_url::ADDRESS_SET => decoded(body, own::address_set),
        type_url::DNS_TABLE => decoded(body, dns::table),
        type_url::SECRET => decoded(body, secret),
        other => json!({ "@type": other }),
    }
}

/// Bytes that are no such message are shown as the error that they are.
fn decoded<M: Message + Default>(bytes: &[u8], show: impl FnOnce(&M) -> Value) -> Value {
    match M::decode(bytes) {
        Ok(message) => show(&message),
        Err(error) => json!({ "malformed": error.to_string() }),
    }
}

fn secret(secret: &tls::Secret) -> Value {
    let roots = match &secret.r#type {
        Some(tls::secret::Type::ValidationContext(context)) => {
            fields::data(context.trusted_ca.as_ref())
        }
        _ => Value::Null,
    };
    Fields::new()
        .text("name", &secret.name)
        .put(
            "validation_context",
            Fields::new().put("trusted_ca", roots).value(),
        )
        .value()
}
