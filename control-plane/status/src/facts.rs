//! All objects of one moment, with the statuses that they should have.

use std::{collections::BTreeSet, sync::Arc};

use heddle_model::ObjectKey;
use heddle_resolve::{RouteStatus, Statuses};
use heddle_resources::{Cluster, Kind, Namespaced, ObjectId};
use serde_json::Value;

use crate::Wanted;

/// The kinds that have a status of ours.
const KINDS: [Kind; 4] = [
    Kind::GatewayClass,
    Kind::Gateway,
    Kind::HTTPRoute,
    Kind::GRPCRoute,
];

/// One round: what there is, and what it should be told. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// All objects, as the watches last saw them.
    pub cluster: Arc<Cluster>,
    /// What `resolve` made of them.
    pub statuses: Arc<Statuses>,
}

impl Facts {
    /// The status that an object should have; `None` if it is none of ours, or gone.
    pub fn wanted(&self, id: &ObjectId) -> Option<Wanted> {
        let statuses = &self.statuses;
        let key = || {
            let namespace = id.namespace.parse().ok()?;
            Some(ObjectKey::new(namespace, Arc::clone(&id.name)))
        };
        // A route that has (no longer) a parent of ours has no entry of ours.
        let route = |status: Option<&Arc<RouteStatus>>| {
            let none = || {
                Arc::new(RouteStatus {
                    parents: Vec::new(),
                })
            };
            Wanted::Route(status.cloned().unwrap_or_else(none))
        };
        self.cluster.get(id)?;
        match id.kind {
            Kind::HTTPRoute => Some(route(statuses.http_routes.get(&key()?))),
            Kind::GRPCRoute => Some(route(statuses.grpc_routes.get(&key()?))),
            Kind::Gateway => Some(Wanted::Gateway(statuses.gateways.get(&key()?)?.clone())),
            Kind::GatewayClass => {
                let status = statuses.gateway_classes.get(&id.name)?;
                Some(Wanted::GatewayClass(status.clone()))
            }
            _ => None,
        }
    }

    /// The status that the watches last saw; null if there is none.
    pub(crate) fn seen(&self, id: &ObjectId) -> Value {
        let cluster = &self.cluster;
        let key = (Arc::clone(&id.namespace), Arc::clone(&id.name));
        let status = match id.kind {
            Kind::HTTPRoute => cluster
                .http_routes
                .get(&key)
                .map(|one| serde_json::to_value(&one.status)),
            Kind::GRPCRoute => cluster
                .grpc_routes
                .get(&key)
                .map(|one| serde_json::to_value(&one.status)),
            Kind::Gateway => cluster
                .gateways
                .get(&key)
                .map(|one| serde_json::to_value(&one.status)),
            Kind::GatewayClass => cluster
                .gateway_classes
                .get(&id.name)
                .map(|one| serde_json::to_value(&one.status)),
            _ => None,
        };
        status.and_then(Result::ok).unwrap_or_default()
    }

    /// The objects whose status may have to be written now and had not before: they, or what they should be told, are other values than
    /// before. Compares pointers only.
    pub(crate) fn news(&self, before: Option<&Self>) -> BTreeSet<ObjectId> {
        let mut news = BTreeSet::new();
        for kind in KINDS {
            self.each(kind, |id| {
                let same = before.is_some_and(|before| self.is_same(before, &id));
                if !same {
                    news.insert(id);
                }
            });
        }
        news
    }

    fn each(&self, kind: Kind, mut visit: impl FnMut(ObjectId)) {
        fn namespaced<T>(map: &Namespaced<T>) -> impl Iterator<Item = (Arc<str>, Arc<str>)> {
            map.keys().cloned()
        }
        let mut put = |(namespace, name): (Arc<str>, Arc<str>)| {
            visit(ObjectId {
                kind,
                namespace,
                name,
            });
        };
        let cluster = &self.cluster;
        match kind {
            Kind::HTTPRoute => namespaced(&cluster.http_routes).for_each(&mut put),
            Kind::GRPCRoute => namespaced(&cluster.grpc_routes).for_each(&mut put),
            Kind::Gateway => namespaced(&cluster.gateways).for_each(&mut put),
            Kind::GatewayClass => {
                let names = cluster.gateway_classes.keys();
                names.for_each(|name| put(("".into(), Arc::clone(name))));
            }
            _ => {}
        }
    }

    fn is_same(&self, before: &Self, id: &ObjectId) -> bool {
        let objects = match (self.cluster.get(id), before.cluster.get(id)) {
            (Some(now), Some(then)) => now.ptr_eq(&then),
            _ => false,
        };
        objects && is_same(self.wanted(id), before.wanted(id))
    }
}

fn is_same(one: Option<Wanted>, other: Option<Wanted>) -> bool {
    match (one, other) {
        (Some(Wanted::Route(one)), Some(Wanted::Route(other))) => {
            Arc::ptr_eq(&one, &other) || (one.parents.is_empty() && other.parents.is_empty())
        }
        (Some(Wanted::Gateway(one)), Some(Wanted::Gateway(other))) => Arc::ptr_eq(&one, &other),
        (Some(Wanted::GatewayClass(one)), Some(Wanted::GatewayClass(other))) => {
            Arc::ptr_eq(&one, &other)
        }
        (None, None) => true,
        _ => false,
    }
}
