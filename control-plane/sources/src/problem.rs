//! What could not be read, in words for the user who wrote it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use heddle_resources::ObjectId;

/// Something that could not be read. Prints as
/// `lesson/routes.yaml#2 HTTPRoute production/api-route: spec.rules[0].matches[0]: unknown field "pth"`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the watched folder; for the Kubernetes source the address of the API (`kubernetes`).
    pub file: Arc<str>,
    /// Which document of the file, counted from 1 without empty ones.
    pub document: Option<usize>,
    /// The object, if the document tells so much.
    pub object: Option<ObjectId>,
    /// The field, as in `spec.rules[0].matches`.
    pub field: Option<String>,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, and what happens to it.
    pub message: String,
}

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is wrong: a document that Heddle has no use for.
    Info,
    /// Read, but the user may expect something of it that will not happen.
    Warning,
    /// Not read: it has no effect, or its last good version stays in effect.
    Error,
}

impl Severity {
    /// One lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Problem {
    /// An error in a file as a whole.
    pub(crate) fn in_file(file: &Arc<str>, message: impl Into<String>) -> Self {
        Self {
            file: Arc::clone(file),
            document: None,
            object: None,
            field: None,
            severity: Severity::Error,
            message: message.into(),
        }
    }
}

/// Where an object is defined. Prints as `lesson/routes.yaml#2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, relative to the watched folder.
    pub file: Arc<str>,
    /// Which document of the file, counted from 1 without empty ones.
    pub document: usize,
}

/// Where objects are defined.
pub type Places = BTreeMap<ObjectId, Place>;

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.file, self.document)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(document) = self.document {
            write!(f, "#{document}")?;
        }
        if let Some(object) = &self.object {
            write!(f, " {object}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": {field}")?;
        }
        write!(f, ": {}", self.message)
    }
}
