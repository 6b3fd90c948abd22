//! One file: its documents, its objects and what is wrong with them.

use std::sync::Arc;

use heddle_resources::{Header, Kind, Object, ObjectId, Violation};
use serde_json::Value;

use super::{document, foreign, identity};
use crate::{Problem, Severity};

/// Files above this size are not read: 8 MiB, five times what an API server takes as one object.
pub(super) const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct File {
    /// The objects that it names, in order.
    pub(super) entries: Vec<Entry>,
    /// What is wrong with it.
    pub(super) problems: Vec<Problem>,
    /// Something in it cannot be told apart any more: what it defined before may still be meant.
    pub(super) unclear: bool,
}

/// An object that a file names.
#[derive(Debug)]
pub(super) struct Entry {
    /// The number of its document.
    pub(super) document: usize,
    /// Which object.
    pub(super) id: ObjectId,
    /// What it is; `None`: it is invalid, and a problem says why.
    pub(super) object: Option<Object>,
}

impl File {
    /// A file that cannot be read at all.
    pub(super) fn unreadable(name: &Arc<str>, why: impl Into<String>) -> Self {
        Self {
            entries: Vec::new(),
            problems: vec![Problem::in_file(name, why)],
            unclear: true,
        }
    }

    /// Reads the content of a file.
    pub(super) fn parse(name: &Arc<str>, content: &[u8]) -> Self {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let text = match std::str::from_utf8(content) {
            Ok(text) => text,
            Err(error) => {
                let line = 1 + content[..error.valid_up_to()]
                    .iter()
                    .filter(|byte| **byte == b'\n')
                    .count();
                return Self::unreadable(name, format!("line {line}: is not UTF-8"));
            }
        };
        let mut reader = Reader::new(name);
        for document in document::split(text) {
            reader.document = document.number;
            match document.parse() {
                Ok(value) => reader.value(value, ""),
                Err(message) => reader.unclear(&Violation {
                    field: None,
                    message,
                }),
            }
        }
        reader.file
    }
}

struct Reader<'a> {
    name: &'a Arc<str>,
    document: usize,
    file: File,
}

impl<'a> Reader<'a> {
    fn new(name: &'a Arc<str>) -> Self {
        Self {
            name,
            document: 0,
            file: File::default(),
        }
    }

    /// Reads a document, or an item of a list at `path`.
    fn value(&mut self, mut value: Value, path: &str) {
        match Header::read(&value) {
            Err(violation) => self.unclear(&at(path, violation)),
            Ok(Header::Foreign { api_version, kind }) => {
                let (severity, message) = foreign::judge(&api_version, &kind);
                self.problem(
                    None,
                    severity,
                    at(
                        path,
                        Violation {
                            field: None,
                            message,
                        },
                    ),
                );
            }
            Ok(Header::List) if path.is_empty() => {
                let items = value["items"].as_array_mut().map(std::mem::take);
                for (index, item) in items.into_iter().flatten().enumerate() {
                    self.value(item, &format!("items[{index}]"));
                }
            }
            Ok(Header::List) => {
                let message = "a list inside a list".to_owned();
                self.unclear(&at(
                    path,
                    Violation {
                        field: None,
                        message,
                    },
                ));
            }
            Ok(Header::Ours(id)) => self.object(id, value, path),
        }
    }

    fn object(&mut self, id: ObjectId, value: Value, path: &str) {
        let object = match Object::parse(id.kind, value) {
            Ok(mut object) => {
                identity::complete(&mut object, &id);
                Some(object)
            }
            Err(violations) => {
                for violation in violations {
                    self.problem(Some(&id), Severity::Error, at(path, violation));
                }
                None
            }
        };
        let document = self.document;
        self.file.entries.push(Entry {
            document,
            id,
            object,
        });
    }

    /// Something whose identity is lost.
    fn unclear(&mut self, violation: &Violation) {
        self.file.unclear = true;
        self.problem(None, Severity::Error, violation.clone());
    }

    fn problem(&mut self, object: Option<&ObjectId>, severity: Severity, violation: Violation) {
        self.file.problems.push(Problem {
            file: Arc::clone(self.name),
            document: Some(self.document),
            object: object.cloned(),
            field: violation.field,
            severity,
            message: violation.message,
        });
    }
}

fn at(path: &str, violation: Violation) -> Violation {
    let field = match (path, violation.field) {
        ("", field) => field,
        (path, None) => Some(path.to_owned()),
        (path, Some(field)) => Some(format!("{path}.{field}")),
    };
    Violation { field, ..violation }
}

/// Whether a file is one that is read, by its name.
pub(super) fn is_manifest(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("yaml" | "yml" | "json")) && !name.starts_with('.')
}

/// Kinds whose absence would loosen something: told with their problems.
pub(super) fn is_policy(kind: Kind) -> bool {
    matches!(kind, Kind::NetworkPolicy | Kind::AuthorizationPolicy)
}
