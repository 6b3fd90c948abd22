//! All objects at one moment, by kind and name.
//!
//! What belongs to what (slices to Services, pods to selectors) is not kept here but where it is needed, in `resolve`, which sees every
//! change and keeps such indices as it goes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    AuthorizationPolicy, ConfigMap, EndpointSlice, GRPCRoute, Gateway, GatewayApi, GatewayClass,
    HTTPRoute, Namespace, NetworkPolicy, Node, Object, ObjectId, Pod, ReferenceGrant, Secret,
    Service, ServiceAccount,
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
    /// The CRDs of the Gateway API, where they could be looked at.
    pub gateway_api: Option<Arc<GatewayApi>>,
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
    ($map:expr, $id:expr) => {{
        let key = ($id.namespace.clone(), $id.name.clone());
        // Only a map that changes is copied where others hold it as well.
        $map.contains_key(&key) && Arc::make_mut(&mut $map).remove(&key).is_some()
    }};
}

macro_rules! remove_cluster {
    ($map:expr, $id:expr) => {
        $map.contains_key(&$id.name) && Arc::make_mut(&mut $map).remove(&$id.name).is_some()
    };
}

macro_rules! get_namespaced {
    ($map:expr, $variant:ident, $id:expr) => {
        $map.get(&($id.namespace.clone(), $id.name.clone()))
            .map(|object| Object::$variant(Arc::clone(object)))
    };
}

macro_rules! get_cluster {
    ($map:expr, $variant:ident, $id:expr) => {
        $map.get(&$id.name)
            .map(|object| Object::$variant(Arc::clone(object)))
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

    /// An object, if it is there.
    pub fn get(&self, id: &ObjectId) -> Option<Object> {
        use crate::Kind;
        match id.kind {
            Kind::Namespace => get_cluster!(self.namespaces, Namespace, id),
            Kind::Node => get_cluster!(self.nodes, Node, id),
            Kind::Pod => get_namespaced!(self.pods, Pod, id),
            Kind::ServiceAccount => get_namespaced!(self.service_accounts, ServiceAccount, id),
            Kind::Service => get_namespaced!(self.services, Service, id),
            Kind::EndpointSlice => get_namespaced!(self.endpoint_slices, EndpointSlice, id),
            Kind::HTTPRoute => get_namespaced!(self.http_routes, HTTPRoute, id),
            Kind::GRPCRoute => get_namespaced!(self.grpc_routes, GRPCRoute, id),
            Kind::ReferenceGrant => get_namespaced!(self.reference_grants, ReferenceGrant, id),
            Kind::GatewayClass => get_cluster!(self.gateway_classes, GatewayClass, id),
            Kind::Gateway => get_namespaced!(self.gateways, Gateway, id),
            Kind::NetworkPolicy => get_namespaced!(self.network_policies, NetworkPolicy, id),
            Kind::Secret => get_namespaced!(self.secrets, Secret, id),
            Kind::ConfigMap => get_namespaced!(self.config_maps, ConfigMap, id),
            Kind::AuthorizationPolicy => {
                get_namespaced!(self.authorization_policies, AuthorizationPolicy, id)
            }
        }
    }

    /// How many objects of a kind there are.
    pub fn count(&self, kind: crate::Kind) -> usize {
        use crate::Kind;
        match kind {
            Kind::Namespace => self.namespaces.len(),
            Kind::Node => self.nodes.len(),
            Kind::Pod => self.pods.len(),
            Kind::ServiceAccount => self.service_accounts.len(),
            Kind::Service => self.services.len(),
            Kind::EndpointSlice => self.endpoint_slices.len(),
            Kind::HTTPRoute => self.http_routes.len(),
            Kind::GRPCRoute => self.grpc_routes.len(),
            Kind::ReferenceGrant => self.reference_grants.len(),
            Kind::GatewayClass => self.gateway_classes.len(),
            Kind::Gateway => self.gateways.len(),
            Kind::NetworkPolicy => self.network_policies.len(),
            Kind::Secret => self.secrets.len(),
            Kind::ConfigMap => self.config_maps.len(),
            Kind::AuthorizationPolicy => self.authorization_policies.len(),
        }
    }
}

#[cfg(test)]
mod tests;
