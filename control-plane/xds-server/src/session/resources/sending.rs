//! The next response of one type.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use heddle_snapshot::Resource;

use super::{Due, Half, Held, Item, Lookup, Mode, Outstanding, Resources};
use crate::session::Response;

impl Resources {
    /// Builds the next response and takes note of it. `limit` bounds the bytes of its resources where the protocol lets a
    /// change be told in several responses; there is always at least one resource in it.
    pub(in crate::session) fn send(
        &mut self,
        half: Half,
        lookup: Lookup<'_>,
        nonce: u64,
        deadline: Instant,
        limit: usize,
    ) -> Response {
        let next = self.next(half, lookup, limit);
        let item = |(name, resource)| Item {
            before: self.open.remove(&name).unwrap_or(Held::Nothing),
            name,
            resource,
        };
        let items: Vec<_> = next.into_iter().map(item).collect();
        let resources = match self.mode {
            Mode::World => self.world(lookup, half),
            Mode::Delta | Mode::Additive => items
                .iter()
                .filter_map(|item| item.resource.clone())
                .collect(),
        };
        let removed = match self.mode {
            Mode::Delta => items
                .iter()
                .filter(|item| item.resource.is_none())
                .map(|item| Arc::clone(&item.name))
                .collect(),
            Mode::World | Mode::Additive => Vec::new(),
        };
        self.owed = false;
        self.nonce = nonce;
        self.counters.responses += 1;
        self.counters.resources += resources.len() as u64;
        self.counters.removals += removed.len() as u64;
        self.outstanding = Some(Outstanding {
            nonce,
            deadline,
            items,
        });
        Response::new(self.type_url, nonce, resources, removed)
    }

    /// The names of the resources in the unanswered response.
    pub(in crate::session) fn unanswered(&self) -> Vec<Arc<str>> {
        let items = self.outstanding.iter().flat_map(|sent| &sent.items);
        items
            .filter(|item| item.resource.is_some())
            .map(|item| Arc::clone(&item.name))
            .collect()
    }

    /// What is sent next: the names, each with its resource; `None`: there is none.
    fn next(
        &self,
        half: Half,
        lookup: Lookup<'_>,
        limit: usize,
    ) -> Vec<(Arc<str>, Option<Arc<Resource>>)> {
        let mut bytes = 0;
        let mut next = Vec::new();
        for (name, held) in &self.open {
            let due = self.due(lookup, name, held);
            if !self.in_half(&due, half) {
                continue;
            }
            let resource = match due {
                Due::Send(resource) => Some(resource),
                Due::Nothing | Due::Refused | Due::Missing | Due::Remove => None,
            };
            bytes += resource.map_or(name.len(), |resource| resource.delta.len());
            if self.mode != Mode::World && bytes > limit && !next.is_empty() {
                break;
            }
            next.push((Arc::clone(name), resource.cloned()));
        }
        next
    }

    /// Everything that a state-of-the-world client should have now. What is to be removed stays in it until its half of the
    /// change comes; what was refused is left as the client has it.
    fn world(&self, lookup: Lookup<'_>, half: Half) -> Vec<Arc<Resource>> {
        let mut world: BTreeMap<&str, Arc<Resource>> = lookup
            .snapshot
            .visible(lookup.view, self.type_url)
            .filter(|resource| self.subscription.contains(&resource.name))
            .map(|resource| (&*resource.name, Arc::clone(resource)))
            .collect();
        for (name, held) in &self.open {
            let keep = match self.due(lookup, name, held) {
                Due::Refused => true,
                Due::Remove => half == Half::Additions,
                Due::Nothing | Due::Missing | Due::Send(_) => continue,
            };
            match held {
                Held::Resource(resource) if keep => world.insert(name, Arc::clone(resource)),
                _ => world.remove(&**name),
            };
        }
        world.into_values().collect()
    }
}
