#![allow(dead_code, reason = "each test binary uses a part of it")]
//! Reading YAML into a [`Cluster`], as strictly as can be: a field that nobody reads would make a test say less than it seems to.

pub(crate) mod worlds;

use heddle_model::{MtlsMode, TrustDomain};
use heddle_resolve::Settings;
use heddle_resources::{Cluster, Kind, Object};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The settings of all tests.
pub(crate) fn settings() -> Settings {
    Settings {
        trust_domain: TrustDomain::new("cluster.local").expect("a trust domain"),
        cluster_domain: "cluster.local".into(),
        mtls: MtlsMode::Permissive,
    }
}

/// Reads all documents of a YAML text; errors name the document and the field.
pub(crate) fn objects(yaml: &str) -> Result<Vec<Object>, String> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(yaml).map_err(|error| error.to_string())?;
    documents
        .into_iter()
        .filter(|document| !document.is_null())
        .map(object)
        .collect()
}

/// The objects as a cluster.
pub(crate) fn cluster(objects: impl IntoIterator<Item = Object>) -> Cluster {
    let mut cluster = Cluster::default();
    objects
        .into_iter()
        .for_each(|object| cluster.insert(object));
    cluster
}

/// Reads one document.
pub(crate) fn object(document: Value) -> Result<Object, String> {
    let text = |field: &str| {
        document
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let name = document
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or("?")
        .to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let of = Kind::of(&api_version, &kind)
        .ok_or_else(|| format!("{kind} {name}: {api_version} is not read"))?;
    let at = |error: String| format!("{kind} {name}: {error}");
    match of {
        Kind::Namespace => strict::<heddle_resources::Namespace>(document),
        Kind::Node => strict::<heddle_resources::Node>(document),
        Kind::Pod => strict::<heddle_resources::Pod>(document),
        Kind::ServiceAccount => strict::<heddle_resources::ServiceAccount>(document),
        Kind::Service => strict::<heddle_resources::Service>(document),
        Kind::EndpointSlice => strict::<heddle_resources::EndpointSlice>(document),
        Kind::HTTPRoute => strict::<heddle_resources::HTTPRoute>(document),
        Kind::GRPCRoute => strict::<heddle_resources::GRPCRoute>(document),
        Kind::ReferenceGrant => strict::<heddle_resources::ReferenceGrant>(document),
        Kind::GatewayClass => strict::<heddle_resources::GatewayClass>(document),
        Kind::Gateway => strict::<heddle_resources::Gateway>(document),
        Kind::NetworkPolicy => strict::<heddle_resources::NetworkPolicy>(document),
        Kind::Secret => strict::<heddle_resources::Secret>(document),
        Kind::ConfigMap => strict::<heddle_resources::ConfigMap>(document),
        Kind::AuthorizationPolicy => strict::<heddle_resources::AuthorizationPolicy>(document),
    }
    .map_err(at)
}

fn strict<T: DeserializeOwned + Into<Object>>(document: Value) -> Result<Object, String> {
    let mut unknown = Vec::new();
    let object: T = serde_ignored::deserialize(document, |path| unknown.push(path.to_string()))
        .map_err(|error| error.to_string())?;
    unknown.retain(|path| path != "apiVersion" && path != "kind");
    if unknown.is_empty() {
        Ok(object.into())
    } else {
        Err(format!("unknown fields: {}", unknown.join(", ")))
    }
}
