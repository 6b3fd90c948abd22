//! Brings the node to what the configuration says.

use std::time::Duration;

use heddle_config::{ProxyConfig, SharedConfig};
use heddle_redirect::handover::Passed;
use heddle_xds_client::{Status, StatusHandle};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Board,
    bound::BoundListeners,
    enrolment::Registrations,
    following::Following,
    kubernetes::Conditions,
    outside::OutsideFile,
    pods::Pods,
    sockets::Sockets,
    succession::{Inheritance, Predecessor, Successors},
    worker::Workers,
};

/// How often the namespaces are looked at without a reason: a pod's namespace may appear at any time.
const LOOK: Duration = Duration::from_millis(200);

/// Brings the node to what the configuration says: level-triggered, whatever happened before.
pub(crate) struct Keeper {
    pub(crate) config: SharedConfig,
    pub(crate) following: Following,
    pub(crate) workers: Workers,
    pub(crate) pods: Pods,
    pub(crate) registrations: Registrations,
    pub(crate) outside: OutsideFile,
    pub(crate) bound: BoundListeners,
    pub(crate) sockets: Sockets,
    pub(crate) board: Board,
    pub(crate) status: StatusHandle,
    /// The configuration began with the last good one.
    pub(crate) from_disk: bool,
    /// Where pods' conditions are written, on Kubernetes.
    pub(crate) conditions: Option<Conditions>,
    pub(crate) successors: Successors,
}

/// What is left when the keeper ends.
pub(crate) struct Left {
    pub(crate) workers: Workers,
    pub(crate) pods: Pods,
    pub(crate) bound: BoundListeners,
    pub(crate) successors: Successors,
}

impl Keeper {
    /// Until the end is announced. `changed` tells the configuration's revision.
    pub(crate) async fn run(
        mut self,
        mut changed: watch::Receiver<u64>,
        ending: CancellationToken,
    ) -> Left {
        let mut registered = self.registrations.changes();
        let mut superseded = self.successors.superseded();
        let mut ours = true;
        loop {
            // In this order: the configuration must not be older than the revision that it is taken for, nor than the state in
            // which nothing was outstanding.
            let whole = is_whole(&self.status.get(), self.from_disk);
            registered.mark_unchanged();
            let revision = *changed.borrow_and_update();
            let config = self.config.load_full();
            self.following.follow(&config, revision);
            let was_ours = std::mem::replace(&mut ours, !*superseded.borrow_and_update());
            if ours {
                if !was_ours {
                    self.pods.distrust();
                }
                self.bring(&config, revision, whole);
            }
            tokio::select! {
                () = ending.cancelled() => return self.left(),
                Some(request) = self.successors.request() => {
                    // Whoever wanted them may have gone.
                    let _ = request.send(passed(&self.pods, &self.bound));
                }
                Ok(()) = changed.changed() => {}
                Ok(()) = registered.changed() => {}
                Ok(()) = superseded.changed() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    fn bring(&mut self, config: &ProxyConfig, revision: u64, whole: bool) {
        tokio::task::block_in_place(|| {
            self.pods
                .look(config, revision, &self.workers, &mut self.sockets);
            self.bound.look(config, &self.workers, &mut self.sockets);
        });
        self.sockets.forget_unwanted();
        self.registrations
            .publish(config, |pod, netns| self.pods.captured(pod, netns));
        if whole {
            self.outside.follow(config, revision);
        }
        self.board.set(self.pods.states(), whole);
        if let Some(conditions) = &self.conditions {
            conditions.want(self.pods.conditions(config));
        }
    }

    fn left(self) -> Left {
        Left {
            workers: self.workers,
            pods: self.pods,
            bound: self.bound,
            successors: self.successors,
        }
    }
}

/// Whether there is nothing to wait for: all has come, or nobody is there from whom it would.
fn is_whole(status: &Status, from_disk: bool) -> bool {
    status.synced || (from_disk && !status.connected && status.failures > 0)
}

/// Second handles of all sockets that are open.
pub(crate) fn passed(pods: &Pods, bound: &BoundListeners) -> Vec<Passed> {
    let all = pods.passed().and_then(|mut all| {
        all.extend(bound.passed()?);
        Ok(all)
    });
    all.unwrap_or_else(|error| {
        tracing::error!(%error, "no sockets can be handed over");
        Vec::new()
    })
}

/// Waits until this process can do whatever its predecessor does, or has to; then takes its sockets over.
pub(crate) async fn succeed(
    predecessor: Predecessor,
    following: &mut Following,
    config: &SharedConfig,
    mut changed: watch::Receiver<u64>,
    status: &StatusHandle,
) -> Inheritance {
    tracing::info!("another node proxy serves this node; it is replaced once all has come");
    loop {
        let synced = status.get().synced;
        let revision = *changed.borrow_and_update();
        following.follow(&config.load_full(), revision);
        if synced && following.is_complete() {
            break;
        }
        tokio::select! {
            () = predecessor.ends() => break,
            Ok(()) = changed.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    predecessor.take_over().await
}
