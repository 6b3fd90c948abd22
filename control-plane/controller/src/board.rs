//! What the control plane knows at this moment, for whoever asks: statuses, problems, refusals, and who runs where.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use arc_swap::ArcSwapOption;
use heddle_identity::SpiffeId;
use heddle_issuer::Placement;
use heddle_model::{Enrolment, Mesh};
use heddle_resolve::Statuses;
use heddle_sources::Obstacles;
use heddle_xds_server::server::Notice;
use tokio::sync::watch;

use crate::{
    concerns::Concerns,
    expiries::{Expiries, Given},
    refusals::Refusals,
};

/// The result of the last round of the pipeline.
#[derive(Debug)]
pub(crate) struct Round {
    /// Conditions of routes, Gateways and classes.
    pub(crate) statuses: Arc<Statuses>,
    /// All that is wrong, one line each, sorted.
    pub(crate) problems: BTreeSet<String>,
    /// Which identities of the mesh run on which node.
    identities: Arc<BTreeMap<Arc<str>, BTreeSet<SpiffeId>>>,
}

impl Round {
    pub(crate) fn new(mesh: &Mesh, statuses: Arc<Statuses>, problems: BTreeSet<String>) -> Self {
        let mut identities = BTreeMap::<Arc<str>, BTreeSet<SpiffeId>>::new();
        for workload in mesh.workloads.values() {
            // Nobody speaks mutual TLS for a pod outside the mesh.
            let of_mesh = workload.enrolment != Enrolment::Outside;
            if let Some(node) = workload.node.as_ref().filter(|_| of_mesh) {
                let on_node = identities.entry(Arc::clone(&node.0)).or_default();
                on_node.insert(workload.spiffe_id(&mesh.trust_domain));
            }
        }
        Self {
            statuses,
            problems,
            identities: Arc::new(identities),
        }
    }

    /// The same with other statuses.
    pub(crate) fn restated(&self, statuses: Arc<Statuses>) -> Self {
        Self {
            statuses,
            problems: self.problems.clone(),
            identities: Arc::clone(&self.identities),
        }
    }
}

/// Shared by the pipeline, which writes it, and the servers.
#[derive(Clone)]
pub(crate) struct Board(Arc<Inner>);

struct Inner {
    /// The identity of node proxies, which every one of them may have: they serve Gateways with it.
    node_proxy: SpiffeId,
    round: ArcSwapOption<Round>,
    ready: watch::Sender<bool>,
    /// Whether proxies are served.
    serving: AtomicBool,
    /// What the source waits for, once there is one.
    obstacles: OnceLock<Obstacles>,
    concerns: Concerns,
    refusals: Refusals,
    expiries: Expiries,
}

impl Board {
    /// Nothing is known yet.
    pub(crate) fn new(node_proxy: SpiffeId) -> Self {
        Self(Arc::new(Inner {
            node_proxy,
            round: ArcSwapOption::empty(),
            ready: watch::Sender::new(false),
            serving: AtomicBool::new(false),
            obstacles: OnceLock::new(),
            concerns: Concerns::default(),
            refusals: Refusals::default(),
            expiries: Expiries::default(),
        }))
    }

    pub(crate) fn publish(&self, round: Round) {
        self.0.round.store(Some(Arc::new(round)));
        self.0.ready.send_replace(true);
    }

    /// The last round, if there was one.
    pub(crate) fn round(&self) -> Option<Arc<Round>> {
        self.0.round.load_full()
    }

    /// Proxies are served from now on, or no longer.
    pub(crate) fn serving(&self, serving: bool) {
        self.0.serving.store(serving, Ordering::Release);
    }

    /// Whose first objects are waited for.
    pub(crate) fn wait_for(&self, obstacles: Obstacles) {
        // There is only one source.
        let _ = self.0.obstacles.set(obstacles);
    }

    /// What is wrong with the control plane's own work.
    pub(crate) fn concerns(&self) -> &Concerns {
        &self.0.concerns
    }

    /// Why proxies are not served, one line each; `None`: they are. What an API server or an object does later changes nothing of it.
    pub(crate) fn unready(&self) -> Option<Vec<String>> {
        if self.0.serving.load(Ordering::Acquire) {
            return None;
        }
        let mut lines = self.concerns().now();
        lines.extend(self.obstacles());
        if lines.is_empty() {
            lines.push(match self.round() {
                Some(_) => "not serving".to_owned(),
                None => "the objects have not been read yet".to_owned(),
            });
        }
        Some(lines)
    }

    /// What keeps the source from its first objects.
    pub(crate) fn obstacles(&self) -> Vec<String> {
        let obstacles = self.0.obstacles.get().map(Obstacles::now);
        let obstacles = obstacles.unwrap_or_default();
        obstacles.iter().map(ToString::to_string).collect()
    }

    /// Returns after the first round.
    pub(crate) async fn ready(&self) {
        // The sender lives as long as this value.
        let _ = self.0.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Notes what a client refuses, or no longer refuses.
    pub(crate) fn note(&self, notice: &Notice) {
        self.0.refusals.note(notice);
    }

    /// What clients refuse at present.
    pub(crate) fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    /// What clients refuse at present, one line each.
    pub(crate) fn refused(&self) -> BTreeSet<String> {
        self.0.refusals.lines()
    }

    /// When certificates run out, as far as this replica has signed them.
    pub(crate) fn expiries(&self) -> &Expiries {
        &self.0.expiries
    }

    /// When the first certificate of a node or of an identity runs out, of those that it may have.
    pub(crate) fn expiry_of(&self, name: &str) -> Option<SystemTime> {
        let may = |node: &str, identity: &SpiffeId| self.may(node, identity);
        self.0.expiries.of(name, may)
    }

    /// The certificates that this replica has signed, that count, and that their holders may have.
    pub(crate) fn certificates(&self) -> Vec<Given> {
        let may = |node: &str, identity: &SpiffeId| self.may(node, identity);
        self.0.expiries.all(may)
    }
}

impl Placement for Board {
    /// The identities of the node's pods, and on every node the node proxy's own; to a workload that speaks for itself its own.
    fn may(&self, node: &str, identity: &SpiffeId) -> bool {
        node == identity.to_string()
            || *identity == self.0.node_proxy && !node.contains("://")
            || self.round().is_some_and(|round| {
                round
                    .identities
                    .get(node)
                    .is_some_and(|on_node| on_node.contains(identity))
            })
    }
}
