//! From a document (a parsed YAML or JSON value) to an [`Object`].

use serde_json::Value;

use crate::{Kind, Object, ObjectId, Violation, name, schema};

/// What a document claims to be, read before anything else is looked at: it also names what turns out to be invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Header {
    /// An object of a kind that we read.
    Ours(ObjectId),
    /// An object of another kind.
    Foreign {
        /// Its group and version.
        api_version: String,
        /// Its kind.
        kind: String,
    },
    /// Several objects in one document (`kind: List`, `PodList`, ...), in `items`.
    List,
}

impl Header {
    /// Reads the header of a document.
    ///
    /// # Errors
    /// The document is no object, does not say what it is, or has no valid name.
    pub fn read(document: &Value) -> Result<Self, Violation> {
        if !document.is_object() {
            return Err(Violation::new(
                "",
                "must be an object with apiVersion, kind and metadata",
            ));
        }
        let (api_version, kind) = (
            required(document, "apiVersion")?,
            required(document, "kind")?,
        );
        if kind.ends_with("List") && document["items"].is_array() {
            return Ok(Self::List);
        }
        match Kind::of(api_version, kind) {
            Some(kind) => Ok(Self::Ours(name::id(kind, &document["metadata"])?)),
            None => Ok(Self::Foreign {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
            }),
        }
    }
}

fn required<'a>(document: &'a Value, field: &str) -> Result<&'a str, Violation> {
    match &document[field] {
        Value::String(text) if !text.is_empty() => Ok(text),
        Value::Null | Value::String(_) => Err(Violation::new(
            "",
            format!("required field {field:?} is missing"),
        )),
        _ => Err(Violation::new(field, "must be a string")),
    }
}

impl Object {
    /// Reads a document of a kind as an API server would: strictly (no unknown field, every type and limit of the schema), with
    /// the defaults of its schema filled in. Other served versions of the kind become the one that we read.
    ///
    /// # Errors
    /// Everything that is wrong with the document, each with its field.
    pub fn parse(kind: Kind, mut document: Value) -> Result<Self, Vec<Violation>> {
        if let Some(api_version) = document.get_mut("apiVersion") {
            *api_version = kind.api_version().into();
        }
        let violations = schema::check(kind, &mut document);
        if !violations.is_empty() {
            return Err(violations);
        }
        // What the schema cannot say (dates, base64) has no path: such errors name the value.
        Self::from_value(kind, document)
            .map_err(|error| vec![Violation::new("", error.to_string())])
    }
}
