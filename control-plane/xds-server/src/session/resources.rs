//! One resource type on one stream: what the client wants, what it has, what it was sent last.
//!
//! Here is what requests and snapshots change; `sending` builds responses, `answers` takes in ACKs and NACKs.
//!
//! The client is taken to have what its view shows of the pinned snapshot, except for the names in `open`. So a client that is
//! up to date costs no memory per resource, whatever their number.

mod answers;
mod sending;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use heddle_snapshot::{Resource, Snapshot, TypeUrl, Version, View};

use super::{
    Counters, Event, Refusal,
    held::{Due, Held},
    subscription::{Change, Subscription},
};

/// How deletions and completeness are expressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Delta: removed names are listed.
    Delta,
    /// State of the world, Listener and Cluster: each response has everything, and what is absent is deleted.
    World,
    /// State of the world, all other types: a response has some, and nothing can be deleted.
    Additive,
}

/// Which half of a change may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// New and changed resources, and answers.
    Additions,
    /// Removals.
    Removals,
}

/// Where the current resources are looked up.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) view: &'a View,
}

impl<'a> Lookup<'a> {
    /// The copies of names that are kept: the snapshot's own, so that hundreds of clients that ask for the same thousand names do not
    /// hold them hundreds of times.
    pub(super) fn names(self, type_url: TypeUrl) -> impl Fn(&str) -> Arc<str> + 'a {
        let known = self.snapshot.edition(self.view.role, type_url);
        move |name| {
            known
                .and_then(|resources| resources.get_key_value(name))
                .map_or_else(|| Arc::from(name), |(name, _)| Arc::clone(name))
        }
    }
}

/// One resource, or one removal, in an unanswered response.
#[derive(Debug)]
struct Item {
    name: Arc<str>,
    resource: Option<Arc<Resource>>,
    before: Held,
}

/// A response that was neither accepted nor refused yet.
#[derive(Debug)]
struct Outstanding {
    nonce: u64,
    deadline: Instant,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Refused {
    version: Version,
    refusal: Arc<Refusal>,
}

/// Whether a type holds up the types behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing to send, nothing unanswered.
    Settled,
    /// A response is unanswered for too long: the others need not wait, but nothing more of this type is sent.
    Overdue,
    /// A response is unanswered.
    Waiting,
    /// Something can be sent now.
    Ready,
}

#[derive(Debug)]
pub(super) struct Resources {
    pub(super) type_url: TypeUrl,
    mode: Mode,
    pub(super) subscription: Subscription,
    open: BTreeMap<Arc<str>, Held>,
    /// An answer is due even if it is empty.
    owed: bool,
    outstanding: Option<Outstanding>,
    refused: BTreeMap<Arc<str>, Refused>,
    /// Nonce of the last response.
    nonce: u64,
    pub(super) counters: Counters,
}

impl Resources {
    pub(super) fn new(type_url: TypeUrl, mode: Mode) -> Self {
        Self {
            type_url,
            mode,
            subscription: Subscription::default(),
            open: BTreeMap::new(),
            owed: false,
            outstanding: None,
            refused: BTreeMap::new(),
            nonce: 0,
            counters: Counters::default(),
        }
    }

    /// Whether a state-of-the-world request answers an older response than the last.
    pub(super) fn is_stale(&self, nonce: &str) -> bool {
        !nonce.is_empty() && nonce.parse() != Ok(self.nonce)
    }

    /// What the client should have under this name.
    pub(super) fn current<'a>(&self, lookup: Lookup<'a>, name: &str) -> Option<&'a Arc<Resource>> {
        if !self.subscription.contains(name) {
            return None;
        }
        lookup.snapshot.find(lookup.view, self.type_url, name)
    }

    fn due<'a>(&self, lookup: Lookup<'a>, name: &str, held: &Held) -> Due<'a> {
        let refused = self.refused.get(name).map(|refused| &refused.version);
        held.due(self.current(lookup, name), refused)
    }

    fn in_half(&self, due: &Due<'_>, half: Half) -> bool {
        match due {
            Due::Nothing | Due::Refused => false,
            Due::Send(_) => half == Half::Additions,
            Due::Missing => half == Half::Additions && self.mode == Mode::Delta,
            Due::Remove => half == Half::Removals && self.mode != Mode::Additive,
        }
    }

    /// How far this half of the change is.
    pub(super) fn progress(&self, lookup: Lookup<'_>, half: Half, now: Instant) -> Progress {
        match &self.outstanding {
            Some(outstanding) if outstanding.deadline <= now => Progress::Overdue,
            Some(_) => Progress::Waiting,
            None if self.owed && half == Half::Additions => Progress::Ready,
            None => {
                let ready = self
                    .open
                    .iter()
                    .any(|(name, held)| self.in_half(&self.due(lookup, name, held), half));
                if ready {
                    Progress::Ready
                } else {
                    Progress::Settled
                }
            }
        }
    }

    /// When an unanswered response stops holding up the others.
    pub(super) fn deadline(&self, now: Instant) -> Option<Instant> {
        let deadline = self.outstanding.as_ref()?.deadline;
        (deadline > now).then_some(deadline)
    }

    /// Takes in what a request changed. `initial` are the versions that a client that came back told.
    pub(super) fn apply(
        &mut self,
        change: Change,
        initial: &HashMap<String, String>,
        lookup: Lookup<'_>,
        events: &mut Vec<Event>,
    ) {
        for name in change.dropped {
            if !self.subscription.wildcard {
                self.forget(&name, events);
            } else if self.mode == Mode::Delta {
                // The client dropped its copy, but the wildcard still covers it.
                self.open.insert(name, Held::Asked);
            }
        }
        if change.wildcard_dropped {
            let Self {
                open,
                subscription,
                refused,
                ..
            } = self;
            open.retain(|name, _| subscription.contains(name));
            refused.retain(|name, _| subscription.contains(name));
        }
        if change.wildcard {
            self.owed |= self.mode != Mode::Additive;
            let all: Vec<_> = lookup
                .snapshot
                .visible(lookup.view, self.type_url)
                .map(|resource| Arc::clone(&resource.name))
                .collect();
            for name in all {
                self.ask(name, Held::Nothing, initial, events);
            }
            // What the client still has of old, but no longer exists.
            for (name, version) in initial {
                if self.current(lookup, name).is_none() {
                    self.open
                        .insert(name.as_str().into(), Held::Version(version.as_str().into()));
                }
            }
        }
        self.owed |= self.mode == Mode::World && !change.asked.is_empty();
        for name in change.asked {
            self.ask(name, Held::Asked, initial, events);
        }
        self.sweep(lookup);
    }

    fn ask(
        &mut self,
        name: Arc<str>,
        otherwise: Held,
        initial: &HashMap<String, String>,
        events: &mut Vec<Event>,
    ) {
        if let Some(refused) = self.refused.remove(&name) {
            events.push(Event::Cleared(refused.refusal));
        }
        let held = initial
            .get(&*name)
            .map_or(otherwise, |version| Held::Version(version.as_str().into()));
        self.open.insert(name, held);
    }

    fn forget(&mut self, name: &str, events: &mut Vec<Event>) {
        self.open.remove(name);
        if let Some(refused) = self.refused.remove(name) {
            events.push(Event::Cleared(refused.refusal));
        }
    }

    /// Marks a resource to be sent again though it did not change, if there is one and the client wants it.
    pub(super) fn repeat(&mut self, name: &Arc<str>, lookup: Lookup<'_>) {
        if self.current(lookup, name).is_some() && !self.open.contains_key(name) {
            self.open.insert(Arc::clone(name), Held::Asked);
        }
    }

    /// A resource may differ between the pinned snapshot and the one to be pinned next: notes what the client has of it.
    pub(super) fn touch(&mut self, name: &Arc<str>, old: Lookup<'_>) {
        if !self.subscription.contains(name) || self.open.contains_key(name) {
            return;
        }
        let resource = old.snapshot.find(old.view, self.type_url, name);
        let held = resource.map_or(Held::Nothing, |resource| {
            Held::Resource(Arc::clone(resource))
        });
        self.open.insert(Arc::clone(name), held);
    }

    /// Drops notes that say nothing any more.
    pub(super) fn sweep(&mut self, lookup: Lookup<'_>) {
        let mut open = std::mem::take(&mut self.open);
        open.retain(|name, held| match self.due(lookup, name, held) {
            Due::Nothing => false,
            Due::Missing => self.mode == Mode::Delta,
            Due::Remove => self.mode != Mode::Additive,
            Due::Refused | Due::Send(_) => true,
        });
        self.open = open;
    }

    /// Drops refusals of what is gone, or of what went back to the version that the client has.
    pub(super) fn sweep_refusals(&mut self, lookup: Lookup<'_>, events: &mut Vec<Event>) {
        let gone: Vec<Arc<str>> = self
            .refused
            .keys()
            .filter(|name| {
                !self.open.contains_key(*name) && !self.is_unanswered(name)
                    || self.current(lookup, name).is_none()
            })
            .cloned()
            .collect();
        for name in gone {
            if let Some(refused) = self.refused.remove(&name) {
                events.push(Event::Cleared(refused.refusal));
            }
        }
    }

    /// What is noted about the client's copy; `None`: it is what the pinned snapshot shows.
    pub(super) fn held(&self, name: &str) -> Option<&Held> {
        let unanswered = self.outstanding.as_ref();
        let item = unanswered.and_then(|sent| sent.items.iter().find(|item| *item.name == *name));
        item.map(|item| &item.before)
            .or_else(|| self.open.get(name))
    }

    /// The names that something is noted about.
    pub(super) fn noted(&self) -> impl Iterator<Item = &Arc<str>> {
        let unanswered = self.outstanding.iter().flat_map(|sent| &sent.items);
        self.open
            .keys()
            .chain(unanswered.map(|item| &item.name))
            .chain(self.refused.keys())
    }

    pub(super) fn refusal_of(&self, name: &str) -> Option<&Arc<Refusal>> {
        self.refused.get(name).map(|refused| &refused.refusal)
    }

    /// When the answer to the response on its way is due.
    pub(super) fn answer_due(&self) -> Option<Instant> {
        Some(self.outstanding.as_ref()?.deadline)
    }

    /// Whether this version (`None`: a removal) is in an unanswered response.
    pub(super) fn is_on_its_way(&self, name: &str, version: Option<&str>) -> bool {
        let unanswered = self.outstanding.iter().flat_map(|sent| &sent.items);
        let mut of_name = unanswered.filter(|item| *item.name == *name);
        of_name.any(|item| {
            let sent = item.resource.as_ref();
            sent.map(|resource| resource.version.as_str()) == version
        })
    }

    fn is_unanswered(&self, name: &str) -> bool {
        self.outstanding
            .as_ref()
            .is_some_and(|outstanding| outstanding.items.iter().any(|item| *item.name == *name))
    }
}
