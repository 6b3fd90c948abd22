//! What a client asked for, of one type.

use std::{collections::BTreeSet, sync::Arc};

use super::limits::NAME_COST;

/// The explicit wildcard.
pub(super) const WILDCARD: &str = "*";

/// The resources of one type that a client wants.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    /// Everything that its view shows.
    pub(super) wildcard: bool,
    /// These, whether they exist or not.
    pub(super) names: BTreeSet<Arc<str>>,
    /// Bytes of the names.
    bytes: usize,
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
        self.names.len() * NAME_COST + self.bytes
    }

    /// State of the world: `names` is the whole subscription. `shared` gives the copy of a name that is kept.
    pub(super) fn replace(
        &mut self,
        names: &[String],
        shared: impl Fn(&str) -> Arc<str>,
    ) -> Change {
        let first = !std::mem::replace(&mut self.begun, true);
        let wildcard = if names.is_empty() {
            !self.named
        } else {
            names.iter().any(|name| name == WILDCARD)
        };
        self.named |= !names.is_empty();
        let wanted: BTreeSet<Arc<str>> = names
            .iter()
            .filter(|name| *name != WILDCARD)
            .map(|name| shared(name))
            .collect();
        let change = Change {
            wildcard: wildcard && (first || !self.wildcard),
            wildcard_dropped: self.wildcard && !wildcard,
            asked: wanted.difference(&self.names).cloned().collect(),
            dropped: self.names.difference(&wanted).cloned().collect(),
        };
        self.wildcard = wildcard;
        self.bytes = wanted.iter().map(|name| name.len()).sum();
        self.names = wanted;
        change
    }

    /// Delta: adds and removes. A name that is subscribed again counts as asked again: the client may have forgotten it.
    /// `shared` gives the copy of a name that is kept.
    pub(super) fn update(
        &mut self,
        subscribe: &[String],
        unsubscribe: &[String],
        shared: impl Fn(&str) -> Arc<str>,
    ) -> Change {
        let first = !std::mem::replace(&mut self.begun, true);
        let mut change = Change::default();
        if first && subscribe.is_empty() && unsubscribe.is_empty() {
            self.wildcard = true;
            change.wildcard = true;
        }
        for name in subscribe {
            if name == WILDCARD {
                self.wildcard = true;
                change.wildcard = true;
            } else {
                let name = shared(name);
                if self.names.insert(Arc::clone(&name)) {
                    self.bytes += name.len();
                }
                change.asked.push(name);
            }
        }
        for name in unsubscribe {
            if name == WILDCARD {
                change.wildcard_dropped = std::mem::take(&mut self.wildcard);
                change.wildcard = false;
            } else if let Some(name) = self.names.take(name.as_str()) {
                self.bytes -= name.len();
                change.dropped.push(name);
            }
        }
        if !change.dropped.is_empty() {
            let dropped: BTreeSet<_> = change.dropped.iter().collect();
            change.asked.retain(|name| !dropped.contains(name));
        }
        change
    }
}
