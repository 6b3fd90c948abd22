//! From a change of an object to the snapshot that proxies get.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use heddle_issuer::Issuer;
use heddle_resolve::{Resolver, Statuses};
use heddle_resources::Cluster;
use heddle_snapshot::Snapshot;
use heddle_sources::{Places, Severity, Update, Updates};
use heddle_status::Facts;
use heddle_translate::Translator;
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    arguments::Arguments,
    board::{Board, Round},
    metrics::Metrics,
    problems::Problems,
    transitions,
};

/// How often the certificate authority looks whether a root is due.
const ROTATION_CHECK: Duration = Duration::from_secs(300);

/// Opens the source that the arguments name; without a folder it is the API server.
pub(crate) async fn source(
    arguments: &Arguments,
    client: Option<&kube::Client>,
) -> anyhow::Result<Updates> {
    use heddle_sources::{files, kubernetes};
    match (&arguments.manifests, client) {
        (Some(folder), _) => Ok(files::watch(files::Settings::new(folder))?),
        (None, Some(client)) => Ok(kubernetes::watch(client.clone())),
        (None, None) => Ok(kubernetes::watch(kubernetes::connect().await?)),
    }
}

/// One after the other, and always the newest: what comes while a round is on its way is put together by the source.
pub(crate) struct Pipeline {
    resolver: Resolver,
    translator: Translator,
    issuer: Arc<Issuer>,
    bundle: watch::Receiver<Arc<str>>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    board: Board,
    metrics: Arc<Metrics>,
    problems: Problems,
    unreadable: BTreeSet<String>,
    places: Arc<Places>,
    /// What was told once and is nobody's problem.
    noted: BTreeSet<String>,
    cluster: Arc<Cluster>,
    facts: watch::Sender<Option<Facts>>,
    /// Whether roots are rotated here; on Kubernetes the leader does it, together with their Secret.
    rotates: bool,
}

impl Pipeline {
    pub(crate) fn new(
        arguments: &Arguments,
        issuer: Arc<Issuer>,
        board: Board,
        metrics: Arc<Metrics>,
    ) -> Self {
        let settings = heddle_resolve::Settings {
            trust_domain: arguments.trust_domain.clone(),
            cluster_domain: arguments.cluster_domain.as_str().into(),
            mtls: arguments.mtls.into(),
        };
        Self {
            resolver: Resolver::new(settings),
            translator: Translator::new(),
            bundle: issuer.trust_bundle(),
            issuer,
            snapshots: watch::Sender::new(Arc::default()),
            board,
            metrics,
            problems: Problems::default(),
            unreadable: BTreeSet::new(),
            places: Arc::default(),
            noted: BTreeSet::new(),
            cluster: Arc::default(),
            facts: watch::Sender::new(None),
            rotates: !arguments.kubernetes,
        }
    }

    /// The newest objects with their statuses, for whoever writes these.
    pub(crate) fn facts(&self) -> watch::Receiver<Option<Facts>> {
        self.facts.subscribe()
    }

    /// The newest snapshot; empty before the first round.
    pub(crate) fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.subscribe()
    }

    /// Runs until the source ends.
    pub(crate) async fn run(mut self, mut source: Updates) {
        let mut rotation = interval(ROTATION_CHECK);
        rotation.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut refusals = self.board.refusals().changes();
        let mut read = false;
        loop {
            tokio::select! {
                update = source.next() => match update {
                    Some(update) => {
                        read = true;
                        self.round(Some(update));
                    }
                    None => return,
                },
                Ok(()) = self.bundle.changed() => if read {
                    self.round(None);
                },
                // What a client refuses belongs into the status of the object that it was made from.
                Ok(()) = refusals.changed() => self.restate(),
                _ = rotation.tick(), if self.rotates => if let Err(error) = self.issuer.rotate(false) {
                    tracing::error!(%error, "the roots were not rotated; the present ones stay in force");
                },
            }
        }
    }

    fn round(&mut self, update: Option<Update>) {
        let begin = Instant::now();
        if let Some(update) = update {
            let (notes, problems): (Vec<_>, Vec<_>) = update
                .problems
                .iter()
                .partition(|problem| problem.severity == Severity::Info);
            self.unreadable = problems.into_iter().map(ToString::to_string).collect();
            for note in notes.into_iter().map(ToString::to_string) {
                if self.noted.insert(note.clone()) {
                    tracing::info!("{note}");
                }
            }
            self.metrics.unavailable(&update.unavailable);
            self.places = update.places;
            self.resolver.update(&update.cluster, &update.changes);
            self.cluster = update.cluster;
        }
        let resolved = self.resolver.resolved();
        let bundle = self.bundle.borrow_and_update().clone();
        let translated = self.translator.update(&resolved.mesh, &bundle);
        let mut problems = self.unreadable.clone();
        problems.extend(resolved.problems.iter().map(|problem| {
            // As the source itself tells its problems: with the file, if there is one.
            match self.places.get(&problem.object) {
                Some(place) => format!("{place} {problem}"),
                None => problem.to_string(),
            }
        }));
        self.problems.tell(&problems);
        self.metrics
            .problems
            .set(i64::try_from(problems.len()).unwrap_or(i64::MAX));
        let last = self.board.round();
        let statuses = self.statuses(last.as_deref());
        let round = Round::new(&self.resolver.resolved().mesh, statuses, problems);
        self.snapshots.send_replace(translated.snapshot);
        self.board.publish(round);
        self.metrics.rounds.inc();
        self.metrics
            .encoded
            .inc_by(translated.counts.encoded as u64);
        self.metrics.seconds.observe(begin.elapsed().as_secs_f64());
        tracing::debug!(counts = ?translated.counts, took = ?begin.elapsed(), "snapshot");
    }

    /// A client refuses something else than before: only statuses say so, nothing is resolved or translated.
    fn restate(&self) {
        let Some(last) = self.board.round() else {
            return;
        };
        let statuses = self.statuses(Some(&last));
        if *statuses != *last.statuses {
            self.board.publish(last.restated(statuses));
        }
    }

    /// The statuses at present, with what clients refuse in them. Tells how they differ from the last ones.
    fn statuses(&self, last: Option<&Round>) -> Arc<Statuses> {
        let mut statuses = self.resolver.resolved().statuses.clone();
        self.board.refusals().state(&mut statuses);
        let nothing = Statuses::default();
        let known = last.map_or(&nothing, |last| &*last.statuses);
        for line in transitions::between(known, &statuses) {
            tracing::info!("status: {line}");
        }
        let statuses = Arc::new(statuses);
        self.facts.send_replace(Some(Facts {
            cluster: Arc::clone(&self.cluster),
            statuses: Arc::clone(&statuses),
        }));
        statuses
    }
}
