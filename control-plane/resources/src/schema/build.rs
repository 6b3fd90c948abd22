//! From JSON schemas to [`Schema`].

use std::{collections::HashMap, ops::RangeInclusive, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::CustomResourceExt;
use regex::Regex;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Value, json};

use super::shape::{Field, List, Schema, Shape, Text, Unique};
use crate::{
    AuthorizationPolicy, ConfigMap, EndpointSlice, Kind, Namespace, NetworkPolicy, Node, Pod,
    Secret, Service, ServiceAccount,
};

/// Builds the schema of a kind.
pub(super) fn build(kind: Kind) -> Schema {
    match kind {
        Kind::Namespace => kubernetes::<Namespace>(),
        Kind::Node => kubernetes::<Node>(),
        Kind::Pod => kubernetes::<Pod>(),
        Kind::ServiceAccount => kubernetes::<ServiceAccount>(),
        Kind::Service => kubernetes::<Service>(),
        Kind::EndpointSlice => kubernetes::<EndpointSlice>(),
        Kind::NetworkPolicy => kubernetes::<NetworkPolicy>(),
        Kind::Secret => kubernetes::<Secret>(),
        Kind::ConfigMap => kubernetes::<ConfigMap>(),
        Kind::HTTPRoute => published(include_str!("../../schemas/http_route.json")),
        Kind::GRPCRoute => published(include_str!("../../schemas/grpc_route.json")),
        Kind::ReferenceGrant => published(include_str!("../../schemas/reference_grant.json")),
        Kind::GatewayClass => published(include_str!("../../schemas/gateway_class.json")),
        Kind::Gateway => published(include_str!("../../schemas/gateway.json")),
        Kind::AuthorizationPolicy => custom(own()),
    }
}

/// A kind of Kubernetes itself.
fn kubernetes<T: JsonSchema>() -> Schema {
    let (definitions, root) = generated::<T>();
    Builder::new(definitions).schema(&root)
}

/// A kind of a published CRD.
fn published(text: &str) -> Schema {
    // The file is ours and tested; were it broken, nothing of the kind would be accepted.
    custom(serde_json::from_str(text).unwrap_or_else(|_| json!({"type": "object"})))
}

/// A kind of a CRD, whose schema leaves what all kinds have to the API server.
fn custom(mut root: Value) -> Schema {
    let (definitions, metadata) = generated::<ObjectMeta>();
    root["properties"]["metadata"] = metadata;
    root["properties"]["apiVersion"] = json!({"type": "string"});
    root["properties"]["kind"] = json!({"type": "string"});
    Builder::new(definitions).schema(&root)
}

/// The schema of our own kind, as its CRD states it.
fn own() -> Value {
    let crd = serde_json::to_value(AuthorizationPolicy::crd()).unwrap_or_default();
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Definitions by name, and the schema itself.
fn generated<T: JsonSchema>() -> (Value, Value) {
    let mut generator = SchemaGenerator::new(SchemaSettings::draft2020_12());
    let root = generator.subschema_for::<T>().to_value();
    (Value::Object(generator.take_definitions(true)), root)
}

/// Turns JSON schemas into ours; each definition once.
struct Builder {
    definitions: Value,
    known: HashMap<String, Arc<Schema>>,
}

impl Builder {
    fn new(definitions: Value) -> Self {
        Self {
            definitions,
            known: HashMap::new(),
        }
    }

    fn schema(&mut self, json: &Value) -> Schema {
        if let Some(target) = reference(json) {
            let definition = self.definitions[target].clone();
            return self.schema(&definition);
        }
        Schema {
            shape: self.shape(json),
            default: json.get("default").cloned(),
            nullable: json["nullable"] == true,
        }
    }

    fn shared(&mut self, json: &Value) -> Arc<Schema> {
        let Some(target) = reference(json) else {
            return Arc::new(self.schema(json));
        };
        if let Some(known) = self.known.get(target) {
            return Arc::clone(known);
        }
        let schema = Arc::new(self.schema(json));
        self.known.insert(target.to_owned(), Arc::clone(&schema));
        schema
    }

    fn shape(&mut self, json: &Value) -> Shape {
        if json["x-kubernetes-int-or-string"] == true {
            return Shape::IntOrString;
        }
        match type_of(json) {
            Some("boolean") => Shape::Boolean,
            Some("integer") => Shape::Integer(whole_numbers(json)),
            Some("number") => Shape::Number,
            Some("string") => Shape::Text(text(json)),
            Some("array") => Shape::List(List {
                items: self.shared(&json["items"]),
                length: lengths(json, "minItems", "maxItems"),
                unique: unique(json),
            }),
            Some("object") => self.object(json),
            _ => Shape::Any,
        }
    }

    fn object(&mut self, json: &Value) -> Shape {
        if let Some(properties) = json["properties"].as_object() {
            let required = json["required"].as_array();
            let is_required =
                |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
            let fields = properties.iter().map(|(name, property)| {
                let field = Field {
                    schema: self.shared(property),
                    required: is_required(name),
                };
                (name.clone(), field)
            });
            return Shape::Record(fields.collect());
        }
        match &json["additionalProperties"] {
            values @ Value::Object(_) => Shape::Map {
                values: self.shared(values),
                length: lengths(json, "minProperties", "maxProperties"),
            },
            _ => Shape::Any,
        }
    }
}

/// The name of the definition that a schema only refers to.
fn reference(json: &Value) -> Option<&str> {
    json["$ref"].as_str()?.rsplit('/').next()
}

fn type_of(json: &Value) -> Option<&str> {
    match &json["type"] {
        Value::String(one) => Some(one),
        // An optional field: its type or `null`.
        Value::Array(several) => several
            .iter()
            .filter_map(Value::as_str)
            .find(|one| *one != "null"),
        _ => None,
    }
}

fn whole_numbers(json: &Value) -> RangeInclusive<i64> {
    let (lowest, highest) = match json["format"].as_str() {
        Some("int32") => (i32::MIN.into(), i32::MAX.into()),
        _ => (i64::MIN, i64::MAX),
    };
    // Limits of generated schemas may be written as floating point numbers.
    let limit = |key: &str| {
        json[key]
            .as_i64()
            .or_else(|| json[key].as_f64().map(|limit| limit as i64))
    };
    limit("minimum").unwrap_or(lowest)..=limit("maximum").unwrap_or(highest)
}

fn lengths(json: &Value, least: &str, most: &str) -> RangeInclusive<usize> {
    let limit = |key: &str| {
        json[key]
            .as_u64()
            .and_then(|limit| usize::try_from(limit).ok())
    };
    limit(least).unwrap_or(0)..=limit(most).unwrap_or(usize::MAX)
}

fn text(json: &Value) -> Text {
    let choices = json["enum"].as_array().into_iter().flatten();
    Text {
        length: lengths(json, "minLength", "maxLength"),
        // All patterns of the schemas that we ship compile: a test looks.
        pattern: json["pattern"]
            .as_str()
            .and_then(|pattern| Regex::new(pattern).ok()),
        choices: choices
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    }
}

fn unique(json: &Value) -> Unique {
    match json["x-kubernetes-list-type"].as_str() {
        Some("set") => Unique::Whole,
        Some("map") => {
            let keys = json["x-kubernetes-list-map-keys"]
                .as_array()
                .into_iter()
                .flatten();
            Unique::By(keys.filter_map(Value::as_str).map(str::to_owned).collect())
        }
        _ => Unique::No,
    }
}
