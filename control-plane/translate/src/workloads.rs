//! Workload: who is at an address.

use std::sync::Arc;

use heddle_model::{Enrolment, Node, NodeName, PodKey, Workload};
use heddle_proto::{
    heddle::v1::{self, workload::Tunnel},
    type_url,
};
use heddle_snapshot::{Resource, Scope};

use crate::{memo::Unit, wire::octets};

/// A pod.
#[derive(Debug, PartialEq)]
pub(crate) struct PodWorkloadUnit(pub(crate) Arc<Workload>);

impl Unit for PodWorkloadUnit {
    type Key = PodKey;

    fn build(&self, key: &PodKey) -> Resource {
        let pod = &self.0;
        let tunnel = match pod.enrolment {
            Enrolment::Mesh => Tunnel::Hbone,
            // Its own library speaks mutual TLS, with gRPC clients only.
            Enrolment::Grpc | Enrolment::Outside => Tunnel::None,
        };
        let message = v1::Workload {
            uid: pod.uid.to_string(),
            namespace: key.namespace.to_string(),
            name: key.name.to_string(),
            addresses: pod.addresses.iter().copied().map(octets).collect(),
            service_account: pod.service_account.to_string(),
            node: text(pod.node.as_ref().map(|node| &node.0)),
            zone: text(pod.zone.as_ref()),
            tunnel: tunnel.into(),
            host_network: pod.host_network,
            owner: pod.owner.to_string(),
            app: pod.app.to_string(),
            version: pod.version.to_string(),
        };
        resource(key.to_string(), &message)
    }
}

/// A node's own addresses: the kubelet's probes and pods in the node's network come from there. It has no namespace and
/// no service account, because an address of a node tells no identity.
#[derive(Debug, PartialEq)]
pub(crate) struct NodeWorkloadUnit(pub(crate) Arc<Node>);

impl Unit for NodeWorkloadUnit {
    type Key = NodeName;

    fn build(&self, key: &NodeName) -> Resource {
        let node = &self.0;
        let name = format!("node/{key}");
        let message = v1::Workload {
            uid: name.clone(),
            name: key.to_string(),
            addresses: node.addresses.iter().copied().map(octets).collect(),
            node: key.to_string(),
            zone: text(node.zone.as_ref()),
            tunnel: Tunnel::None.into(),
            host_network: true,
            owner: key.to_string(),
            app: key.to_string(),
            ..v1::Workload::default()
        };
        resource(name, &message)
    }
}

fn text(value: Option<&Arc<str>>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn resource(name: String, message: &v1::Workload) -> Resource {
    Resource::new(type_url::WORKLOAD, name, Scope::Nodes, Vec::new(), message)
}
