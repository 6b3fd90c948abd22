//! Pods, as the data plane knows them.

use std::{net::IpAddr, sync::Arc};

use crate::{NodeName, PodKey, ServiceAccount, SpiffeId, TrustDomain};

/// A pod with an address, or about to get one.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Workload {
    /// Namespace and name of the pod.
    pub key: PodKey,
    /// metadata.uid; made from the key where a folder of YAML gives none.
    pub uid: Arc<str>,
    /// status.podIPs, or empty.
    pub addresses: Vec<IpAddr>,
    /// spec.serviceAccountName, by default `default`.
    pub service_account: ServiceAccount,
    /// spec.nodeName.
    pub node: Option<NodeName>,
    /// The zone of its node.
    pub zone: Option<Arc<str>>,
    /// Whether it is in the mesh.
    pub enrolment: Enrolment,
    /// spec.hostNetwork.
    pub host_network: bool,
    /// The object that made it: the controller's name with the hash of a ReplicaSet cut off; else the pod's own name.
    pub owner: Arc<str>,
    /// Label `app.kubernetes.io/name`, else `app`; else the owner.
    pub app: Arc<str>,
    /// Label `app.kubernetes.io/version`, else `version`; else empty.
    pub version: Arc<str>,
}

impl Workload {
    /// Its identity.
    pub fn spiffe_id(&self, trust_domain: &TrustDomain) -> SpiffeId {
        SpiffeId::new(
            trust_domain.clone(),
            self.key.namespace.clone(),
            self.service_account.clone(),
        )
    }
}

/// Whether a pod is in the mesh: label `heddle.dev/mesh: enabled | disabled | grpc` on the pod, else on its namespace.
/// A pod in the node's own network is never in the mesh, nor is one that has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum Enrolment {
    /// Its traffic is captured and it is reached by mutual TLS.
    Mesh,
    /// Its own gRPC library is in the mesh, by xDS: it is not captured, and its gRPC servers are reached by mutual TLS on their own ports.
    Grpc,
    /// Plain traffic only.
    Outside,
}
