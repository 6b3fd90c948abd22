//! The immutable set of all resources.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{Resource, Role, TypeUrl, View};

/// Resources of one type, by name.
pub type ResourcesOfType = BTreeMap<Arc<str>, Arc<Resource>>;

/// Resources of all types.
pub type ResourcesByType = BTreeMap<TypeUrl, Arc<ResourcesOfType>>;

/// Which namespaces have pods of the mesh on which node.
pub type Placement = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// All resources at one moment. Cheap to clone: a type that did not change is shared.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// By type, for node proxies.
    pub types: ResourcesByType,
    /// By type, for Envoys: under the same names, but with nothing in them that only a node proxy knows.
    pub envoy: ResourcesByType,
    /// Which namespaces have pods of the mesh on which node.
    pub placement: Arc<Placement>,
}

impl Snapshot {
    /// The resources of a type in the edition that this kind of client reads.
    pub fn edition(&self, role: Role, type_url: &str) -> Option<&Arc<ResourcesOfType>> {
        match role {
            Role::Node | Role::Grpc => self.types.get(type_url),
            Role::Gateway | Role::Client => self.envoy.get(type_url),
        }
    }

    /// One resource, if it exists and the view may see it.
    pub fn find(&self, view: &View, type_url: &str, name: &str) -> Option<&Arc<Resource>> {
        self.edition(view.role, type_url)?
            .get(name)
            .filter(|resource| view.sees(&resource.scope, &self.placement))
    }

    /// All resources of a type that the view may see, by name.
    pub fn visible<'a>(
        &'a self,
        view: &'a View,
        type_url: &str,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.edition(view.role, type_url)
            .into_iter()
            .flat_map(|resources| resources.values())
            .filter(|resource| view.sees(&resource.scope, &self.placement))
    }
}
