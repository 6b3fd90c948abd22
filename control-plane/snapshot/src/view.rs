//! Who sees what.

use std::sync::Arc;

use crate::Placement;

/// What kind of client a stream serves (node metadata `role`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A node proxy.
    Node,
    /// A proxy that serves one Gateway.
    Gateway,
    /// An Envoy that wants an explicit outbound HTTP proxy.
    Client,
    /// A gRPC `xds:///` client.
    Grpc,
}

/// Who may see a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every node proxy.
    Nodes,
    /// The proxy of this node only.
    Node(Arc<str>),
    /// The proxies of nodes that run a pod of this namespace.
    NodesWithNamespace(Arc<str>),
    /// Clients of every role.
    Everyone,
    /// Every gRPC client and server.
    Grpc,
    /// The gRPC servers of this identity only (`spiffe://...`).
    GrpcServer(Arc<str>),
    /// Every Envoy, whatever it serves.
    Envoys,
    /// The Envoys that serve this Gateway (`namespace/name`).
    Gateway(Arc<str>),
    /// The Envoys that are an outbound proxy.
    Clients,
}

/// One client's view of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View {
    /// What kind of client it is.
    pub role: Role,
    /// The node it runs on; of a workload that speaks for itself its identity.
    pub node: Arc<str>,
    /// With [`Role::Gateway`]: which one, `namespace/name`.
    pub gateway: Option<Arc<str>>,
}

impl View {
    /// Whether a resource of this scope belongs to the view.
    pub fn sees(&self, scope: &Scope, placement: &Placement) -> bool {
        match (self.role, scope) {
            (Role::Node, Scope::Nodes) => true,
            (Role::Node, Scope::Node(node)) => *node == self.node,
            (Role::Node, Scope::NodesWithNamespace(namespace)) => placement
                .get(&self.node)
                .is_some_and(|namespaces| namespaces.contains(namespace)),
            (_, Scope::Everyone)
            | (Role::Grpc, Scope::Grpc)
            | (Role::Gateway | Role::Client, Scope::Envoys)
            | (Role::Client, Scope::Clients) => true,
            (Role::Grpc, Scope::GrpcServer(identity)) => *identity == self.node,
            (Role::Gateway, Scope::Gateway(gateway)) => self.gateway.as_ref() == Some(gateway),
            (Role::Node | Role::Gateway | Role::Client | Role::Grpc, _) => false,
        }
    }
}
