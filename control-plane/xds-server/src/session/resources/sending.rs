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
        let names = self.next_names(half, lookup, limit);
        let mut items = Vec::with_capacity(names.len());
        for name in names {
            let before = self.open.remove(&name).unwrap_or(Held::Nothing);
            let resource = self.current(lookup, &name).cloned();
            items.push(Item {
                name,
                resource,
                before,
            });
        }
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

    fn next_names(&self, half: Half, lookup: Lookup<'_>, limit: usize) -> Vec<Arc<str>> {
        let mut bytes = 0;
        let mut names = Vec::new();
        for (name, held) in &self.open {
            let due = self.due(lookup, name, held);
            if !self.in_half(&due, half) {
                continue;
            }
            bytes += match due {
                Due::Send(resource) => resource.delta.len(),
                _ => name.len(),
            };
            if self.mode != Mode::World && bytes > limit && !names.is_empty() {
                break;
            }
            names.push(Arc::clone(name));
        }
        names
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
