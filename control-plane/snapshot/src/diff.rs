//! What changed between two sets of resources of one type.

use std::{collections::BTreeMap, sync::Arc};

use crate::Resource;

/// What a client that holds the old set must be told to hold the new one.
#[derive(Debug, Default)]
pub struct Diff {
    /// New or changed, by name.
    pub changed: Vec<Arc<Resource>>,
    /// Names that are gone.
    pub removed: Vec<Arc<str>>,
}

impl Diff {
    /// Nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.removed.is_empty()
    }
}

/// Compares by version.
pub fn diff(
    old: &BTreeMap<Arc<str>, Arc<Resource>>,
    new: &BTreeMap<Arc<str>, Arc<Resource>>,
) -> Diff {
    let changed = new
        .iter()
        .filter(|(name, resource)| {
            old.get(*name)
                .is_none_or(|known| known.version != resource.version)
        })
        .map(|(_, resource)| Arc::clone(resource))
        .collect();
    let removed = old
        .keys()
        .filter(|name| !new.contains_key(*name))
        .cloned()
        .collect();
    Diff { changed, removed }
}
