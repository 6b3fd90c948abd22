//! The immutable set of all resources.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{Resource, TypeUrl, View};

/// Resources of one type, by name.
pub type ResourcesOfType = BTreeMap<Arc<str>, Arc<Resource>>;

/// Which namespaces have pods of the mesh on which node.
pub type Placement = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// All resources at one moment. Cheap to clone: a type that did not change is shared.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// By type.
    pub types: BTreeMap<TypeUrl, Arc<ResourcesOfType>>,
    /// Which namespaces have pods of the mesh on which node.
    pub placement: Arc<Placement>,
}

impl Snapshot {
    /// One resource, if it exists and the view may see it.
    pub fn find(&self, view: &View, type_url: &str, name: &str) -> Option<&Arc<Resource>> {
        self.types
            .get(type_url)?
            .get(name)
            .filter(|resource| view.sees(&resource.scope, &self.placement))
    }

    /// All resources of a type that the view may see, by name.
    pub fn visible<'a>(
        &'a self,
        view: &'a View,
        type_url: &str,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.types
            .get(type_url)
            .into_iter()
            .flat_map(|resources| resources.values())
            .filter(|resource| view.sees(&resource.scope, &self.placement))
    }
}
