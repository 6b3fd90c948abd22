//! What a client asked for, of one type.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    limits::NAME_COST,
    names::{NameSets, Names},
};

/// The explicit wildcard.
pub(super) const WILDCARD: &str = "*";

/// The resources of one type that a client wants.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// Everything that its view shows.
    pub(super) wildcard: bool,
    /// These, whether they exist or not.
    pub(super) names: Names,
    /// A request of this type named something on this stream, if only `*`. From then on an empty list of a
    /// state-of-the-world client means "nothing", no longer "everything".
    named: bool,
    /// A request of this type was seen on this stream.
    pub(super) begun: bool,
}

/// What a request changed.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// The wildcard was asked for now.
    pub(super) wildcard: bool,
    /// Names that must be answered.
    pub(super) asked: Vec<Arc<str>>,
    /// Names that are no longer wanted by name.
    pub(super) dropped: Vec<Arc<str>>,
    /// The wildcard is no longer wanted.
    pub(super) wildcard_dropped: bool,
}

impl Subscription {
    /// Whether the client wants the resource of this name.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// What the names cost, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.names.len() * NAME_COST + self.names.bytes()
    }

    /// State of the world: `names` is the whole subscription. `known` gives the copy of a name that is kept.
    pub(super) fn replace(
        &mut self,
        names: &[String],
        known: impl Fn(&str) -> Arc<str>,
        sets: &NameSets,
    ) -> Change {
        let first = !std::mem::replace(&mut self.begun, true);
        let wildcard = if names.is_empty() {
            !self.named
        } else {
            names.iter().any(|name| name == WILDCARD)
        };
        self.named |= !names.is_empty();
        let mut change = Change {
            wildcard: wildcard && (first || !self.wildcard),
            wildcard_dropped: self.wildcard && !wildcard,
            ..Change::default()
        };
        self.wildcard = wildcard;
        let mut wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        wanted.retain(|name| *name != WILDCARD);
        wanted.sort_unstable();
        wanted.dedup();
        // Each answer repeats all names, and hardly ever are they others.
        if self.names.are(&wanted) {
            return change;
        }
        let gone = |name: &&Arc<str>| wanted.binary_search(&&***name).is_err();
        change.dropped = self.names.iter().filter(gone).cloned().collect();
        let mut all = Vec::with_capacity(wanted.len());
        for name in wanted {
            all.push(if let Some(name) = self.names.get(name) {
                Arc::clone(name)
            } else {
                let name = known(name);
                change.asked.push(Arc::clone(&name));
                name
            });
        }
        self.names.replace(all, sets);
        change
    }

    /// Delta: adds and removes. A name that is subscribed again counts as asked again: the client may have forgotten it.
    /// `known` gives the copy of a name that is kept.
    pub(super) fn update(
        &mut self,
        subscribe: &[String],
        unsubscribe: &[String],
        known: impl Fn(&str) -> Arc<str>,
        sets: &NameSets,
    ) -> Change {
        let first = !std::mem::replace(&mut self.begun, true);
        let mut change = Change::default();
        if first && subscribe.is_empty() && unsubscribe.is_empty() {
            self.wildcard = true;
            change.wildcard = true;
        }
        let (wildcards, names) = split(subscribe);
        self.wildcard |= wildcards;
        change.wildcard |= wildcards;
        change.asked = names.into_iter().map(known).collect();
        self.names.insert_all(&change.asked, sets);
        let (wildcards, names) = split(unsubscribe);
        if wildcards {
            change.wildcard_dropped = std::mem::take(&mut self.wildcard);
            change.wildcard = false;
        }
        change.dropped = self.names.take_all(&names, sets);
        if !change.dropped.is_empty() {
            let dropped: BTreeSet<_> = change.dropped.iter().collect();
            change.asked.retain(|name| !dropped.contains(name));
        }
        change
    }
}

/// Whether the wildcard is among them, and the names.
fn split(asked: &[String]) -> (bool, Vec<&str>) {
    let mut names: Vec<&str> = asked.iter().map(String::as_str).collect();
    names.retain(|name| *name != WILDCARD);
    (names.len() < asked.len(), names)
}
