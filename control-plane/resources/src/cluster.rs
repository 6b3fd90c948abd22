//! All objects at one moment, indexed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    AuthorizationPolicy, ConfigMap, EndpointSlice, GRPCRoute, Gateway, GatewayClass, HTTPRoute,
    Namespace, NetworkPolicy, Node, Object, ObjectId, Pod, ReferenceGrant, Secret, Service,
    ServiceAccount,
};

/// Objects of one namespaced kind, by (namespace, name).
pub type Namespaced<T> = BTreeMap<(Arc<str>, Arc<str>), Arc<T>>;
/// Objects of one cluster-wide kind, by name.
pub type ClusterWide<T> = BTreeMap<Arc<str>, Arc<T>>;

/// All objects at one moment. Cheap to clone: kinds that do not change are shared.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "the names are the kinds")]
pub struct Cluster {
    pub namespaces: Arc<ClusterWide<Namespace>>,
    pub nodes: Arc<ClusterWide<Node>>,
    pub pods: Arc<Namespaced<Pod>>,
    pub service_accounts: Arc<Namespaced<ServiceAccount>>,
    pub services: Arc<Namespaced<Service>>,
    pub endpoint_slices: Arc<Namespaced<EndpointSlice>>,
    pub http_routes: Arc<Namespaced<HTTPRoute>>,
    pub grpc_routes: Arc<Namespaced<GRPCRoute>>,
    pub reference_grants: Arc<Namespaced<ReferenceGrant>>,
    pub gateway_classes: Arc<ClusterWide<GatewayClass>>,
    pub gateways: Arc<Namespaced<Gateway>>,
    pub network_policies: Arc<Namespaced<NetworkPolicy>>,
    pub secrets: Arc<Namespaced<Secret>>,
    pub config_maps: Arc<Namespaced<ConfigMap>>,
    pub authorization_policies: Arc<Namespaced<AuthorizationPolicy>>,
}

/// Which objects changed between two values of [`Cluster`].
pub type ChangeSet = BTreeSet<ObjectId>;

macro_rules! each_kind {
    ($self:ident, $object:expr, $id:expr, $on_namespaced:ident, $on_cluster:ident) => {
        match $object {
            Object::Namespace(o) => $on_cluster!($self.namespaces, o, $id),
            Object::Node(o) => $on_cluster!($self.nodes, o, $id),
            Object::Pod(o) => $on_namespaced!($self.pods, o, $id),
            Object::ServiceAccount(o) => $on_namespaced!($self.service_accounts, o, $id),
            Object::Service(o) => $on_namespaced!($self.services, o, $id),
            Object::EndpointSlice(o) => $on_namespaced!($self.endpoint_slices, o, $id),
            Object::HTTPRoute(o) => $on_namespaced!($self.http_routes, o, $id),
            Object::GRPCRoute(o) => $on_namespaced!($self.grpc_routes, o, $id),
            Object::ReferenceGrant(o) => $on_namespaced!($self.reference_grants, o, $id),
            Object::GatewayClass(o) => $on_cluster!($self.gateway_classes, o, $id),
            Object::Gateway(o) => $on_namespaced!($self.gateways, o, $id),
            Object::NetworkPolicy(o) => $on_namespaced!($self.network_policies, o, $id),
            Object::Secret(o) => $on_namespaced!($self.secrets, o, $id),
            Object::ConfigMap(o) => $on_namespaced!($self.config_maps, o, $id),
            Object::AuthorizationPolicy(o) => {
                $on_namespaced!($self.authorization_policies, o, $id)
            }
        }
    };
}

macro_rules! insert_namespaced {
    ($map:expr, $object:expr, $id:expr) => {{
        Arc::make_mut(&mut $map).insert(($id.namespace.clone(), $id.name.clone()), $object);
    }};
}

macro_rules! insert_cluster {
    ($map:expr, $object:expr, $id:expr) => {{
        Arc::make_mut(&mut $map).insert($id.name.clone(), $object);
    }};
}

macro_rules! remove_namespaced {
    ($map:expr, $id:expr) => {
        Arc::make_mut(&mut $map)
            .remove(&($id.namespace.clone(), $id.name.clone()))
            .is_some()
    };
}

macro_rules! remove_cluster {
    ($map:expr, $id:expr) => {
        Arc::make_mut(&mut $map).remove(&$id.name).is_some()
    };
}

impl Cluster {
    /// Adds or replaces an object.
    pub fn insert(&mut self, object: Object) {
        let id = object.id();
        each_kind!(self, object, id, insert_namespaced, insert_cluster);
    }

    /// Removes an object; tells whether it was there.
    pub fn remove(&mut self, id: &ObjectId) -> bool {
        use crate::Kind;
        match id.kind {
            Kind::Namespace => remove_cluster!(self.namespaces, id),
            Kind::Node => remove_cluster!(self.nodes, id),
            Kind::Pod => remove_namespaced!(self.pods, id),
            Kind::ServiceAccount => remove_namespaced!(self.service_accounts, id),
            Kind::Service => remove_namespaced!(self.services, id),
            Kind::EndpointSlice => remove_namespaced!(self.endpoint_slices, id),
            Kind::HTTPRoute => remove_namespaced!(self.http_routes, id),
            Kind::GRPCRoute => remove_namespaced!(self.grpc_routes, id),
            Kind::ReferenceGrant => remove_namespaced!(self.reference_grants, id),
            Kind::GatewayClass => remove_cluster!(self.gateway_classes, id),
            Kind::Gateway => remove_namespaced!(self.gateways, id),
            Kind::NetworkPolicy => remove_namespaced!(self.network_policies, id),
            Kind::Secret => remove_namespaced!(self.secrets, id),
            Kind::ConfigMap => remove_namespaced!(self.config_maps, id),
            Kind::AuthorizationPolicy => remove_namespaced!(self.authorization_policies, id),
        }
    }
}
