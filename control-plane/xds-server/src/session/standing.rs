//! Where a client stands: what it should have and what it has, resource by resource.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use heddle_snapshot::{Resource, Snapshot, TypeUrl, View};

use super::{
    Refusal, Session,
    held::Held,
    resources::{Lookup, Resources},
};

/// What a client is known to have of one resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Running {
    /// Nothing.
    Nothing,
    /// It cannot be known: it refused a response without saying which resources it meant.
    Unknown,
    /// Something of this version, as it told when it came back.
    Version(Arc<str>),
    /// This.
    Resource(Arc<Resource>),
}

impl Running {
    /// Its version, if it is known.
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Nothing | Self::Unknown => None,
            Self::Version(version) => Some(version),
            Self::Resource(resource) => Some(resource.version.as_str()),
        }
    }
}

/// How far a client is with one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has what it should have.
    Synced,
    /// It was not sent the newest version yet.
    NotSent,
    /// It was sent, and has neither accepted nor refused it.
    Unanswered,
    /// It refuses it (NACK).
    Refused,
}

/// One resource of one client.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Type of the resource.
    pub type_url: TypeUrl,
    /// Its name.
    pub name: Arc<str>,
    /// What the client should have; `None`: there is nothing of this name, or not for it.
    pub wanted: Option<Arc<Resource>>,
    /// What it has accepted last.
    pub running: Running,
    /// How far it is.
    pub progress: Progress,
    /// What it said when it refused the version that it should have.
    pub refusal: Option<Arc<Refusal>>,
}

impl Session {
    /// Where the client stands with all that it asked for, by type and name. What should be there is the newest snapshot's.
    pub fn standings(&self) -> Vec<Standing> {
        let newest = self.newest.as_ref().unwrap_or(&self.pinned);
        let of_type = |resources: &Resources| resources.standings(&self.pinned, newest, &self.view);
        self.types.values().flat_map(of_type).collect()
    }

    /// For how long the oldest response is unanswered; `None`: all are answered.
    pub fn unanswered_for(&self, now: Instant) -> Option<Duration> {
        let limit = self.limits.answer_timeout;
        let deadlines = self.types.values().filter_map(Resources::answer_due);
        // A response is due its answer `limit` after it was sent.
        deadlines
            .min()
            .map(|due| (now + limit).saturating_duration_since(due))
    }
}

impl Resources {
    fn standings(&self, pinned: &Snapshot, newest: &Snapshot, view: &View) -> Vec<Standing> {
        let (old, new) = (
            Lookup {
                snapshot: pinned,
                view,
            },
            Lookup {
                snapshot: newest,
                view,
            },
        );
        let mut names: BTreeSet<Arc<str>> = self.subscription.names.iter().cloned().collect();
        names.extend(self.noted().cloned());
        for lookup in [old, new] {
            let visible = lookup.snapshot.visible(view, self.type_url);
            let wanted = visible.filter(|resource| self.subscription.contains(&resource.name));
            names.extend(wanted.map(|resource| Arc::clone(&resource.name)));
        }
        let standing = |name| self.standing(name, old, new);
        names.into_iter().map(standing).collect()
    }

    fn standing(&self, name: Arc<str>, old: Lookup<'_>, new: Lookup<'_>) -> Standing {
        let wanted = self.current(new, &name).cloned();
        let running = match self.held(&name) {
            Some(Held::Nothing | Held::Asked) => Running::Nothing,
            Some(Held::Unsure) => Running::Unknown,
            Some(Held::Version(version)) => Running::Version(Arc::clone(version)),
            Some(Held::Resource(resource)) => Running::Resource(Arc::clone(resource)),
            None => match self.current(old, &name) {
                Some(resource) => Running::Resource(Arc::clone(resource)),
                None => Running::Nothing,
            },
        };
        let refusal = self.refusal_of(&name).filter(|refusal| {
            let wanted = wanted.as_ref().map(|wanted| &wanted.version);
            wanted == Some(&refusal.version)
        });
        let version = wanted.as_ref().map(|wanted| wanted.version.as_str());
        let same = version == running.version() && running != Running::Unknown;
        let progress = match (same, refusal) {
            (true, _) => Progress::Synced,
            (false, Some(_)) => Progress::Refused,
            (false, None) if self.is_on_its_way(&name, version) => Progress::Unanswered,
            (false, None) => Progress::NotSent,
        };
        Standing {
            type_url: self.type_url,
            refusal: refusal.cloned(),
            name,
            wanted,
            running,
            progress,
        }
    }
}
