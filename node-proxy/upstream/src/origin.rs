//! On whose behalf something is sent.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use heddle_config::{PodConfig, PodUid};
use heddle_identity::{Namespace, SpiffeId};
use heddle_redirect::{Netns, NetnsId};

/// On whose behalf something is sent: a pod of this node, or a Gateway. Make it once for each accepted connection.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where sockets are opened: the pod's network namespace, for a Gateway the node's.
    pub netns: Netns,
    /// Who connects.
    pub identity: SpiffeId,
    /// The namespace of the pod or Gateway.
    pub namespace: Namespace,
    /// The pod; `None` for a Gateway.
    pub pod: Option<Arc<PodConfig>>,
    key: Arc<OriginKey>,
}

impl Origin {
    /// A pod of this node.
    pub fn pod(netns: Netns, pod: Arc<PodConfig>) -> Self {
        Self {
            key: Arc::new(OriginKey::new(&netns, Some(&pod.uid), &pod.identity)),
            netns,
            identity: pod.identity.clone(),
            namespace: pod.name.namespace.clone(),
            pod: Some(pod),
        }
    }

    /// A Gateway, served on the node's own addresses.
    pub fn gateway(netns: Netns, identity: SpiffeId, namespace: Namespace) -> Self {
        Self {
            key: Arc::new(OriginKey::new(&netns, None, &identity)),
            netns,
            identity,
            namespace,
            pod: None,
        }
    }

    pub(crate) fn key(&self) -> Arc<OriginKey> {
        self.key.clone()
    }
}

/// What pools tell origins apart by. Compared as a whole: two origins share something only if they are the same pod, in the same
/// namespace of the kernel, with the same identity.
#[derive(PartialEq, Eq)]
pub(crate) struct OriginKey {
    pod: Option<PodUid>,
    netns: NetnsId,
    identity: SpiffeId,
}

impl OriginKey {
    fn new(netns: &Netns, pod: Option<&PodUid>, identity: &SpiffeId) -> Self {
        Self {
            pod: pod.cloned(),
            netns: netns.id(),
            identity: identity.clone(),
        }
    }

    pub(crate) fn is_pod(&self, uid: &PodUid) -> bool {
        self.pod.as_ref() == Some(uid)
    }
}

impl Hash for OriginKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // It is hashed for each request; the rest are texts that hardly ever differ alone.
        self.netns.hash(state);
    }
}

impl fmt::Debug for OriginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.pod, self.netns, self.identity)
    }
}
