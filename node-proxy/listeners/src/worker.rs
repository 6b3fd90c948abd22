//! What the loops are given.

use std::sync::Arc;

use heddle_cert_client::Certificates;
use heddle_config::{PodName, PodUid, SharedConfig};
use heddle_redirect::Netns;
use heddle_telemetry::Metrics;
use heddle_upstream::Upstream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{DataPath, Settings};

/// A pod of this node, as the loops must know it. Cheap to clone; the same value is given to the loops of all workers, so
/// that its limits count together.
#[derive(Clone, Debug)]
pub struct PodContext {
    /// Namespace and name.
    pub name: PodName,
    /// Its uid.
    pub uid: PodUid,
    /// Its network namespace: whoever connects from there is this pod.
    pub netns: Netns,
    /// What is left of [`Settings::connections_per_pod`].
    pub(crate) connections: Arc<Semaphore>,
    /// What is left of [`Settings::handshakes`].
    pub(crate) handshakes: Arc<Semaphore>,
}

impl PodContext {
    /// A pod without connections.
    pub fn new(name: PodName, uid: PodUid, netns: Netns, settings: &Settings) -> Self {
        Self {
            name,
            uid,
            netns,
            connections: Arc::new(Semaphore::new(settings.connections_per_pod)),
            handshakes: Arc::new(Semaphore::new(settings.handshakes)),
        }
    }
}

/// One thread of the data path. Cheap to clone, but not to be sent to another thread.
#[derive(Clone)]
pub struct Worker {
    /// What every connection uses.
    pub path: DataPath,
    /// The way out.
    pub upstream: Upstream,
    /// Who the pods are.
    pub certificates: Certificates,
}

impl Worker {
    /// For one thread.
    pub fn new(
        config: SharedConfig,
        upstream: Upstream,
        certificates: Certificates,
        metrics: Arc<Metrics>,
        settings: Arc<Settings>,
    ) -> Self {
        Self {
            path: DataPath::new(config, metrics, settings),
            upstream,
            certificates,
        }
    }

    /// Ends open connections that a new policy refuses. To be spawned once for each worker.
    pub async fn enforce_policy(&self, shutdown: CancellationToken) {
        self.path.enforce_policy(shutdown).await;
    }
}
