//! The set of resources while it changes.

use std::sync::Arc;

use heddle_snapshot::{Resource, ResourcesByType, TypeUrl};

use crate::translator::Counts;

/// All resources by type. A type is copied only when something in it changes, and then only its pointers.
#[derive(Debug, Default)]
pub(crate) struct Resources {
    types: ResourcesByType,
    /// How many resources were added or got another content.
    changed: usize,
    /// How many resources are gone.
    removed: usize,
}

impl Resources {
    /// Takes a resource in. One that says the same as the one it replaces is dropped, so that streams see no change.
    /// Returns the one that is kept.
    pub(crate) fn put(&mut self, resource: Arc<Resource>) -> Arc<Resource> {
        let known = self.types.entry(resource.type_url).or_default();
        if let Some(old) = known.get(&resource.name)
            && **old == *resource
            && old.origin == resource.origin
        {
            return Arc::clone(old);
        }
        Arc::make_mut(known).insert(Arc::clone(&resource.name), Arc::clone(&resource));
        self.changed += 1;
        resource
    }

    /// Drops a resource.
    pub(crate) fn remove(&mut self, type_url: TypeUrl, name: &str) {
        if let Some(known) = self.types.get_mut(type_url)
            && Arc::make_mut(known).remove(name).is_some()
        {
            self.removed += 1;
        }
    }

    /// How much work the update was that ends here, of which so many resources were encoded.
    pub(crate) fn counts(&mut self, encoded: usize) -> Counts {
        Counts {
            encoded,
            changed: std::mem::take(&mut self.changed),
            removed: std::mem::take(&mut self.removed),
        }
    }

    /// What streams may see.
    pub(crate) fn types(&self) -> ResourcesByType {
        self.types.clone()
    }
}
