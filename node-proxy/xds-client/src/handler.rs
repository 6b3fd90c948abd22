//! Who the responses are for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use heddle_proto::{Nack, Update};

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
