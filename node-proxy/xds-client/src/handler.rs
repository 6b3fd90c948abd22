//! Who the responses are for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use heddle_proto::google::protobuf::Any;

/// Takes responses in. Called by the client alone, one call at a time.
pub trait Handler {
    /// Takes the good resources of a response in and returns those that it refuses.
    fn apply(&mut self, update: Update) -> Vec<Nack>;

    /// Names to be subscribed to, by type URL, beside the wildcards. Asked after each response.
    fn subscriptions(&self) -> BTreeMap<String, BTreeSet<String>>;

    /// Versions that it has of a type's resources, by name. A resource that was refused has its last good version, or
    /// none. Asked when a stream begins.
    fn versions(&self, type_url: &str) -> HashMap<String, String>;
}

/// A response: some resources of one type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// Type of all of them.
    pub type_url: String,
    /// New or changed: name, version, body.
    pub resources: Vec<(String, String, Any)>,
    /// Names of those that are gone, or that do not exist.
    pub removed: Vec<String>,
}

/// A resource that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// Its name.
    pub name: String,
    /// What is wrong, one line, with the resource's name in it.
    pub message: String,
}
