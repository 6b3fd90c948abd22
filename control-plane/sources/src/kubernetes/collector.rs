//! Puts the watches of all kinds together. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use heddle_resources::{ChangeSet, Cluster, Kind, Object, ObjectId};

use super::{crds::Crds, failure::Failure, follow::Report};
use crate::{Problem, Severity, Update};

/// What stands in [`Problem::file`].
const ORIGIN: &str = "kubernetes";

/// What is known of the cluster.
#[derive(Debug, Default)]
pub(super) struct Collector {
    cluster: Arc<Cluster>,
    /// Kinds that have not been listed once.
    awaited: BTreeSet<Kind>,
    /// Whether the CRDs of the Gateway API have not been looked at once: what the classes say must not turn without a reason.
    awaits_crds: bool,
    /// Objects that are in effect, by kind: what a list must name for them to stay.
    held: BTreeMap<Kind, BTreeSet<ObjectId>>,
    /// Kinds that are being listed, with what has been named so far.
    listed: BTreeMap<Kind, BTreeSet<ObjectId>>,
    failed: BTreeMap<Kind, Problem>,
    /// What is wrong with the CRDs of the Gateway API.
    crds: Option<Problem>,
    unreadable: BTreeMap<ObjectId, Problem>,
    changes: ChangeSet,
    /// Something is to be told.
    news: bool,
}

impl Collector {
    /// Knows nothing yet, and waits for these kinds.
    pub(super) fn new(awaited: BTreeSet<Kind>) -> Self {
        Self {
            awaits_crds: awaited.contains(&Kind::GatewayClass),
            awaited,
            news: true,
            ..Self::default()
        }
    }

    /// Takes in what a watch tells.
    pub(super) fn take(&mut self, report: Report) {
        match report {
            Report::Listing(kind) => {
                self.listed.insert(kind, BTreeSet::new());
            }
            Report::Listed(kind) => self.complete(kind),
            Report::Object { object, listing } => self.object(object, listing),
            Report::Unreadable { id, error, listing } => self.unreadable(id, &error, listing),
            Report::Gone(id) => self.remove(&id),
            Report::Failed { kind, failure } => self.failed(kind, &failure),
            Report::GatewayApi(crds) => self.gateway_api(crds),
        }
    }

    /// What is to be told, if all kinds are known and there is something.
    pub(super) fn update(&mut self) -> Option<Update> {
        if !self.awaited.is_empty() || self.awaits_crds || !std::mem::take(&mut self.news) {
            return None;
        }
        let mut problems: Vec<Problem> = self
            .failed
            .values()
            .chain(self.unreadable.values())
            .chain(&self.crds)
            .cloned()
            .collect();
        problems.sort();
        Some(Update {
            cluster: Arc::clone(&self.cluster),
            changes: std::mem::take(&mut self.changes),
            problems: problems.into(),
            places: Arc::default(),
            unavailable: self.failed.keys().copied().collect(),
        })
    }

    /// What keeps the first update from being told; empty after it.
    pub(super) fn obstacles(&self) -> Vec<Problem> {
        match self.awaited.is_empty() {
            true => Vec::new(),
            false => self.failed.values().cloned().collect(),
        }
    }

    fn object(&mut self, object: Object, listing: bool) {
        let id = object.id();
        self.name(&id, listing);
        self.news |= self.unreadable.remove(&id).is_some();
        // After a restart of the watch most objects are what they were.
        if self.cluster.get(&id).as_ref() != Some(&object) {
            Arc::make_mut(&mut self.cluster).insert(object);
            self.held.entry(id.kind).or_default().insert(id.clone());
            self.changes.insert(id);
            self.news = true;
        }
    }

    fn unreadable(&mut self, id: ObjectId, error: &str, listing: bool) {
        self.name(&id, listing);
        let stays = match self
            .held
            .get(&id.kind)
            .is_some_and(|held| held.contains(&id))
        {
            true => "; the last good version stays in effect",
            false => "",
        };
        let problem = Problem {
            object: Some(id.clone()),
            ..Problem::in_file(&ORIGIN.into(), format!("cannot be read: {error}{stays}"))
        };
        self.unreadable.insert(id, problem);
        self.news = true;
    }

    fn remove(&mut self, id: &ObjectId) {
        self.news |= self.unreadable.remove(id).is_some();
        let held = self.held.get_mut(&id.kind);
        if held.is_some_and(|held| held.remove(id)) {
            Arc::make_mut(&mut self.cluster).remove(id);
            self.changes.insert(id.clone());
            self.news = true;
        }
    }

    fn name(&mut self, id: &ObjectId, listing: bool) {
        if let Some(listed) = self.listed.get_mut(&id.kind).filter(|_| listing) {
            listed.insert(id.clone());
        }
    }

    fn complete(&mut self, kind: Kind) {
        self.drop_unlisted(kind);
        self.news |= self.awaited.remove(&kind);
        self.news |= self.failed.remove(&kind).is_some();
    }

    /// What a complete list did not name is gone.
    fn drop_unlisted(&mut self, kind: Kind) {
        let listed = self.listed.remove(&kind).unwrap_or_default();
        let known = self.held.get(&kind).into_iter().flatten();
        let known = known.chain(self.unreadable.keys().filter(|id| id.kind == kind));
        let gone: Vec<ObjectId> = known.filter(|id| !listed.contains(id)).cloned().collect();
        for id in &gone {
            self.remove(id);
        }
    }

    fn failed(&mut self, kind: Kind, failure: &Failure) {
        let known = !self.awaited.contains(&kind);
        let mut problem = Problem::in_file(&ORIGIN.into(), failure.words(kind, known));
        if let Failure::Unknown { .. } = failure {
            problem.severity = Severity::Warning;
            // A kind that the server forgot (its CRD was removed) has no objects any more.
            self.listed.remove(&kind);
            self.drop_unlisted(kind);
            self.news |= self.awaited.remove(&kind);
        }
        self.news |= self.failed.insert(kind, problem.clone()).as_ref() != Some(&problem);
    }

    /// The classes' statuses say what becomes of it: for whoever follows the changes it is one of each class.
    fn gateway_api(&mut self, crds: Crds) {
        self.awaits_crds = false;
        self.news = true;
        let (api, words) = match crds {
            Crds::Later => return,
            Crds::Found(api) => {
                let words = api.unsupported();
                (Some(api).filter(|api| !api.is_empty()), words)
            }
            Crds::Forbidden(words) => (None, Some(words)),
        };
        self.crds = words.map(|words| Problem {
            severity: Severity::Warning,
            ..Problem::in_file(&ORIGIN.into(), words)
        });
        Arc::make_mut(&mut self.cluster).gateway_api = api;
        let classes = self.held.get(&Kind::GatewayClass).into_iter().flatten();
        self.changes.extend(classes.cloned());
    }
}
