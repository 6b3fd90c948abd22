//! Cuts a published CRD down to what the validator reads: types, limits and defaults.
//!
//! `compact_schema VERSION CRD.yaml` prints the schema of that version as JSON, without descriptions, without CEL rules (they
//! are written by hand in `src/schema/rules`) and without `metadata` (which every kind shares). Called by `generate.sh` only.

use std::error::Error;

use serde_json::{Map, Value};

/// What the validator reads of a schema.
const KEPT: &[&str] = &[
    "default",
    "enum",
    "format",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "nullable",
    "pattern",
    "required",
    "type",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-preserve-unknown-fields",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(version), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: compact_schema VERSION CRD.yaml".into());
    };
    let crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(file)?)?;
    let schema = schema_of(&crd, &version).ok_or("the CRD has no schema of that version")?;
    let mut compact = compact(schema);
    if let Some(properties) = compact["properties"].as_object_mut() {
        properties.shift_remove("metadata");
    }
    println!("{compact}");
    Ok(())
}

fn schema_of<'a>(crd: &'a Value, version: &str) -> Option<&'a Value> {
    let versions = crd["spec"]["versions"].as_array()?;
    let wanted = versions.iter().find(|one| one["name"] == version)?;
    Some(&wanted["schema"]["openAPIV3Schema"])
}

fn compact(schema: &Value) -> Value {
    let mut kept = Map::new();
    for (key, value) in schema.as_object().into_iter().flatten() {
        match key.as_str() {
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let properties = properties.map(|(name, inner)| (name.clone(), compact(inner)));
                kept.insert(key.clone(), properties.collect());
            }
            "items" | "additionalProperties" if value.is_object() => {
                kept.insert(key.clone(), compact(value));
            }
            key if KEPT.contains(&key) => {
                kept.insert(key.to_owned(), value.clone());
            }
            _ => {}
        }
    }
    Value::Object(kept)
}
