//! The whole mesh.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    AddressSet, AddressSetName, Endpoints, GatewayListener, GatewayListenerKey, Namespace,
    NodeName, PodKey, PodPolicy, RouteTable, RouteTableKey, Service, ServiceKey, ServicePortKey,
    TrustDomain, Workload,
};

/// The whole mesh at one moment. Cheap to clone: entries are shared.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Mesh {
    /// The root of trust of all identities.
    pub trust_domain: TrustDomain,
    /// DNS suffix of Services, usually `cluster.local`.
    pub cluster_domain: Arc<str>,
    /// All Services.
    pub services: BTreeMap<ServiceKey, Arc<Service>>,
    /// The endpoints of each Service port (an entry also where there are none).
    pub endpoints: BTreeMap<ServicePortKey, Arc<Endpoints>>,
    /// Route tables, where routes attached to a Service.
    pub routes: BTreeMap<RouteTableKey, Arc<RouteTable>>,
    /// Listeners of the Gateways of our class.
    pub gateways: BTreeMap<GatewayListenerKey, Arc<GatewayListener>>,
    /// All pods that run or are about to.
    pub workloads: BTreeMap<PodKey, Arc<Workload>>,
    /// Policy for each pod of the mesh (an entry for each, also where nothing is restricted).
    pub policies: BTreeMap<PodKey, Arc<PodPolicy>>,
    /// What the policies' selectors mean.
    pub address_sets: BTreeMap<AddressSetName, Arc<AddressSet>>,
    /// Addresses of each node (status.addresses of type InternalIP).
    pub nodes: BTreeMap<NodeName, Arc<Node>>,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Node {
    /// Its name.
    pub name: NodeName,
    /// status.addresses of type InternalIP.
    pub addresses: BTreeSet<std::net::IpAddr>,
    /// topology.kubernetes.io/zone.
    pub zone: Option<Arc<str>>,
}

impl Mesh {
    /// A mesh with nothing in it.
    pub fn empty(trust_domain: TrustDomain, cluster_domain: impl Into<Arc<str>>) -> Self {
        Self {
            trust_domain,
            cluster_domain: cluster_domain.into(),
            services: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            routes: BTreeMap::new(),
            gateways: BTreeMap::new(),
            workloads: BTreeMap::new(),
            policies: BTreeMap::new(),
            address_sets: BTreeMap::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// The namespaces that have a pod of the mesh on a node: a consumer route matters only there.
    pub fn namespaces_on(&self, node: &NodeName) -> BTreeSet<Namespace> {
        self.workloads
            .values()
            .filter(|workload| workload.node.as_ref() == Some(node))
            .map(|workload| workload.key.namespace.clone())
            .collect()
    }
}
