//! Brings the node to what the configuration says.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use heddle_cert_client::Certificates;
use heddle_config::{ProxyConfig, SharedConfig};
use heddle_identity::SpiffeId;
use heddle_xds_client::StatusHandle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Board, enrolment::Registrations, gateways::Gateways, kubernetes::Conditions, pods::Pods,
    worker::Workers,
};

/// How often the namespaces are looked at without a reason: a pod's namespace may appear at any time.
const LOOK: Duration = Duration::from_millis(200);

/// Brings the node to what the configuration says: level-triggered, whatever happened before.
pub(crate) struct Keeper {
    pub(crate) config: SharedConfig,
    pub(crate) certificates: Certificates,
    /// The proxy's own identity.
    pub(crate) own: SpiffeId,
    pub(crate) workers: Workers,
    pub(crate) pods: Pods,
    pub(crate) registrations: Registrations,
    pub(crate) gateways: Gateways,
    pub(crate) board: Board,
    pub(crate) status: StatusHandle,
    /// The configuration began with the last good one.
    pub(crate) from_disk: bool,
    /// Where pods' conditions are written, on Kubernetes.
    pub(crate) conditions: Option<Conditions>,
}

impl Keeper {
    /// Until the end is announced; gives the workers and the pods back. `changed` tells the configuration's revision.
    pub(crate) async fn run(
        mut self,
        mut changed: watch::Receiver<u64>,
        ending: CancellationToken,
    ) -> (Workers, Pods) {
        let mut registered = self.registrations.changes();
        let mut followed = None;
        let mut trusted: Arc<str> = "".into();
        loop {
            // In this order: the configuration must not be older than the revision that it is taken for, nor than the state in
            // which nothing was outstanding.
            let whole = self.from_disk || self.status.get().synced;
            registered.mark_unchanged();
            let revision = *changed.borrow_and_update();
            let config = self.config.load_full();
            if followed != Some(revision) {
                self.trust(&config, &mut trusted);
                self.certificates.want(wanted(&config, &self.own));
                followed = Some(revision);
            }
            tokio::task::block_in_place(|| {
                self.pods.look(&config, revision, &self.workers);
                self.gateways.look(&config, &self.workers);
            });
            self.registrations
                .publish(&config, |pod, netns| self.pods.captured(pod, netns));
            self.board.set(self.pods.states(), whole);
            if let Some(conditions) = &self.conditions {
                conditions.want(self.pods.conditions(&config));
            }
            tokio::select! {
                () = ending.cancelled() => return (self.workers, self.pods),
                Ok(()) = changed.changed() => {}
                Ok(()) = registered.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn trust(&self, config: &ProxyConfig, trusted: &mut Arc<str>) {
        if config.trust_bundle == *trusted {
            return;
        }
        *trusted = Arc::clone(&config.trust_bundle);
        if let Err(error) = self.certificates.set_trust_bundle(trusted) {
            tracing::error!(%error, "the trust bundle was not taken; the last one stays in force");
        }
    }
}

fn wanted(config: &ProxyConfig, own: &SpiffeId) -> BTreeSet<SpiffeId> {
    let of_pods = config.pods.values().map(|pod| pod.identity.clone());
    of_pods.chain([own.clone()]).collect()
}
