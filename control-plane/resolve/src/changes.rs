//! Which facets a set of changed objects touches.

use std::{collections::BTreeSet, sync::Arc};

use heddle_resources::{ChangeSet, Cluster, Kind, ObjectId};

use crate::names::RawKey;

/// Changed objects by kind.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) nodes: BTreeSet<Arc<str>>,
    pub(crate) namespaces: BTreeSet<Arc<str>>,
    pub(crate) pods: BTreeSet<RawKey>,
    pub(crate) services: BTreeSet<RawKey>,
    pub(crate) endpoint_slices: BTreeSet<RawKey>,
    pub(crate) network_policies: BTreeSet<RawKey>,
    pub(crate) authorization: BTreeSet<RawKey>,
    pub(crate) http_routes: BTreeSet<RawKey>,
    pub(crate) grpc_routes: BTreeSet<RawKey>,
    /// Grants, Gateways, classes.
    pub(crate) gateway_objects: bool,
    /// Grants.
    pub(crate) grants: bool,
}

impl Changes {
    pub(crate) fn of(changes: &ChangeSet) -> Self {
        let mut sorted = Self::default();
        for ObjectId {
            kind,
            namespace,
            name,
        } in changes
        {
            let key = (namespace.clone(), name.clone());
            match kind {
                Kind::Node => {
                    sorted.nodes.insert(name.clone());
                }
                Kind::Namespace => {
                    sorted.namespaces.insert(name.clone());
                }
                Kind::Pod => {
                    sorted.pods.insert(key);
                }
                Kind::Service => {
                    sorted.services.insert(key);
                }
                Kind::EndpointSlice => {
                    sorted.endpoint_slices.insert(key);
                }
                Kind::NetworkPolicy => {
                    sorted.network_policies.insert(key);
                }
                Kind::AuthorizationPolicy => {
                    sorted.authorization.insert(key);
                }
                Kind::HTTPRoute => {
                    sorted.http_routes.insert(key);
                }
                Kind::GRPCRoute => {
                    sorted.grpc_routes.insert(key);
                }
                Kind::ReferenceGrant | Kind::GatewayClass | Kind::Gateway => {
                    sorted.gateway_objects = true;
                    sorted.grants |= *kind == Kind::ReferenceGrant;
                }
                // An identity is a name; certificates of Gateways come with HTTPS.
                Kind::ServiceAccount | Kind::Secret | Kind::ConfigMap => {}
            }
        }
        sorted
    }
}

/// All objects of a cluster, as a change from nothing.
pub(crate) fn everything(cluster: &Cluster) -> ChangeSet {
    let mut all = ChangeSet::new();
    let mut cluster_wide = |kind: Kind, names: Vec<&Arc<str>>| {
        all.extend(
            names
                .into_iter()
                .map(|name| crate::names::cluster_id(kind, name)),
        );
    };
    cluster_wide(Kind::Node, cluster.nodes.keys().collect());
    cluster_wide(Kind::Namespace, cluster.namespaces.keys().collect());
    cluster_wide(Kind::GatewayClass, cluster.gateway_classes.keys().collect());
    let mut namespaced = |kind: Kind, keys: Vec<&RawKey>| {
        all.extend(keys.into_iter().map(|key| crate::names::id(kind, key)));
    };
    namespaced(Kind::Pod, cluster.pods.keys().collect());
    namespaced(Kind::Service, cluster.services.keys().collect());
    namespaced(
        Kind::EndpointSlice,
        cluster.endpoint_slices.keys().collect(),
    );
    namespaced(Kind::HTTPRoute, cluster.http_routes.keys().collect());
    namespaced(Kind::GRPCRoute, cluster.grpc_routes.keys().collect());
    namespaced(
        Kind::ReferenceGrant,
        cluster.reference_grants.keys().collect(),
    );
    namespaced(Kind::Gateway, cluster.gateways.keys().collect());
    namespaced(
        Kind::NetworkPolicy,
        cluster.network_policies.keys().collect(),
    );
    namespaced(
        Kind::AuthorizationPolicy,
        cluster.authorization_policies.keys().collect(),
    );
    all
}
