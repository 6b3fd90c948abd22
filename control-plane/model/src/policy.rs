//! Policy: who may talk to whom.
//!
//! A [`PodPolicy`] is everything that applies to one pod, already selected and with named ports resolved. Selectors of
//! peers become [`AddressSet`]s, so that a policy does not change while pods come and go.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use crate::{AddressSetName, ObjectRef, PodKey, PortNumber, SpiffeId, Transport};

/// What applies to one pod of the mesh.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PodPolicy {
    /// The pod.
    pub pod: PodKey,
    /// Who may connect to it (NetworkPolicy).
    pub ingress: Isolation,
    /// Where it may connect to (NetworkPolicy).
    pub egress: Isolation,
    /// Whether plain text is taken from workloads that could speak mutual TLS.
    pub mtls: MtlsMode,
    /// AuthorizationPolicies that select the pod. `None`: none does, nobody is refused here.
    /// `Some` of an empty list: one does, and allows nobody.
    pub authorization: Option<Vec<AuthorizationRule>>,
    /// Ports that must be read as HTTP on arrival, because a rule speaks of requests or the pod wants to see its
    /// callers' identity (annotation `heddle.dev/forward-client-identity: "true"`).
    pub http_ports: BTreeSet<PortNumber>,
    /// Whether the caller's identity is told to the application in `x-forwarded-client-cert`.
    pub forward_client_identity: bool,
}

/// The effect of the NetworkPolicies that select a pod in one direction.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Isolation {
    /// No policy selects it: everything is allowed.
    Open,
    /// At least one does: only what a rule allows is.
    Isolated {
        /// The policies that select it, sorted.
        by: Vec<ObjectRef>,
        /// The union of their rules.
        rules: Vec<NetworkRule>,
    },
}

/// A rule of a NetworkPolicy.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NetworkRule {
    /// The policy it stands in.
    pub policy: ObjectRef,
    /// Index in spec.ingress or spec.egress. Several rules share it where an egress rule names a port that has different numbers at
    /// different peers; their union is meant.
    pub index: usize,
    /// The other side; `None`: anyone, also outside the cluster. Never an empty list.
    pub peers: Option<Vec<Peer>>,
    /// The destination's ports.
    pub ports: Ports,
}

/// A peer of a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Peer {
    /// Pods, by selector.
    Pods(AddressSetName),
    /// Addresses, by block (ipBlock).
    Block {
        /// These ...
        cidr: IpNet,
        /// ... but not these.
        except: Vec<IpNet>,
    },
}

/// The destination's ports of a rule.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Ports {
    /// Every port of every protocol.
    All,
    /// These. An empty list matches nothing: a named port that the pod does not have.
    These(Vec<PortRange>),
}

/// A range of ports of one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct PortRange {
    /// The protocol.
    pub transport: Transport,
    /// First port; `None`: every port of the protocol.
    pub first: Option<PortNumber>,
    /// Last port, at least `first`; equal to it where there is no endPort.
    pub last: Option<PortNumber>,
}

/// The addresses that a selector means at this moment.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AddressSet {
    /// Its name.
    pub name: AddressSetName,
    /// Addresses of pods that are selected, run and are not in the node's network.
    pub addresses: BTreeSet<IpAddr>,
}

/// Whether a pod takes plain text. Annotation `heddle.dev/mtls: strict | permissive` on the pod, else on its namespace,
/// else the mesh's default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub enum MtlsMode {
    /// Both; the default, so that a mesh can grow.
    Permissive,
    /// Only mutual TLS with an identity of this mesh.
    Strict,
}

/// A rule of an AuthorizationPolicy (our own kind, shaped after GEP-3779): all three parts must hold.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AuthorizationRule {
    /// The policy it stands in.
    pub policy: ObjectRef,
    /// Index in spec.rules.
    pub index: usize,
    /// Who calls.
    pub sources: Sources,
    /// Ports of the pod; empty: all.
    pub ports: Vec<PortNumber>,
    /// Which requests; `None`: all, also what is not HTTP.
    pub http: Option<HttpAccess>,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Sources {
    /// Anybody, also without an identity.
    Anyone,
    /// One of these.
    Identities(Vec<SpiffeId>),
}

/// Which requests. An empty list of methods or paths means all.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HttpAccess {
    /// Upper case.
    pub methods: Vec<Arc<str>>,
    /// On the path without the query.
    pub paths: Vec<crate::PathMatch>,
}
