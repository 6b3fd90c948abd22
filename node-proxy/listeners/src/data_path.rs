//! What every connection of a worker uses.

use std::{net::IpAddr, sync::Arc};

use heddle_config::{PodConfig, ProxyConfig, SharedConfig};
use heddle_filters::Failure;
use heddle_telemetry::{Metrics, ResponseFlag};
use tokio_util::sync::CancellationToken;

use crate::{PodContext, Settings, live::Live};

/// What every connection of a worker uses. Cheap to clone.
#[derive(Clone)]
pub struct DataPath {
    /// Loaded anew for each connection and each request.
    pub config: SharedConfig,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Limits and times.
    pub settings: Arc<Settings>,
    pub(crate) live: Live,
}

impl DataPath {
    /// For one worker.
    pub fn new(config: SharedConfig, metrics: Arc<Metrics>, settings: Arc<Settings>) -> Self {
        Self {
            config,
            metrics,
            settings,
            live: Live::default(),
        }
    }

    /// Whether an address is one of this node's own, as far as is known now.
    pub(crate) fn is_of_this_node(&self, address: IpAddr) -> bool {
        let Settings {
            node,
            node_addresses,
            ..
        } = &*self.settings;
        node_addresses.contains(&address) || self.config.load().workloads.is_of_node(node, address)
    }

    /// Watches for new configurations and revokes the connections that they refuse, until `shutdown`.
    pub async fn enforce_policy(&self, shutdown: CancellationToken) {
        // Held, so that no other configuration can come to lie at the same address.
        let mut judged: Arc<ProxyConfig> = self.config.load_full();
        let mut ticks = tokio::time::interval(self.settings.policy_check);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => return,
            }
            let current = self.config.load_full();
            if Arc::ptr_eq(&current, &judged) {
                continue;
            }
            let revoked = self.live.judge_again(&current);
            if revoked > 0 {
                tracing::info!(revoked, "the policy changed: open connections are closed");
            }
            judged = current;
        }
    }
}

/// The pod's configuration now. A pod of the same name with another uid is another pod.
pub(crate) fn pod_of<'a>(
    config: &'a ProxyConfig,
    pod: &PodContext,
) -> Result<&'a Arc<PodConfig>, Failure> {
    config
        .pods
        .get(&pod.name)
        .filter(|known| known.uid == pod.uid)
        .ok_or_else(|| {
            Failure::new(
                ResponseFlag::NotInMesh,
                format!("nothing is known about the pod {}", pod.name),
            )
        })
}
