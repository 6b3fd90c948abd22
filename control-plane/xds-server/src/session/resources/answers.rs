//! ACKs and NACKs of one type.

use std::sync::Arc;

use super::{Event, Held, Item, Lookup, Mode, Outstanding, Refusal, Refused, Resources};
use crate::session::blame;

impl Resources {
    /// The client accepted the response of this nonce. Returns the names of the resources in it.
    pub(in crate::session) fn accept(
        &mut self,
        nonce: &str,
        events: &mut Vec<Event>,
    ) -> Vec<Arc<str>> {
        let Some(outstanding) = self.take_outstanding(nonce) else {
            return Vec::new();
        };
        self.counters.accepted += 1;
        let accepted = outstanding.items.into_iter();
        accepted
            .filter_map(|item| self.accept_item(item, events))
            .collect()
    }

    fn accept_item(&mut self, item: Item, events: &mut Vec<Event>) -> Option<Arc<str>> {
        if let Some(refused) = self.refused.remove(&item.name) {
            events.push(Event::Cleared(refused.refusal));
        }
        item.resource.map(|_| item.name)
    }

    /// The client refused the response of this nonce. Resources that the message does not name count as accepted, if it names
    /// any; their names are returned.
    pub(in crate::session) fn refuse(
        &mut self,
        nonce: &str,
        message: &str,
        lookup: Lookup<'_>,
        events: &mut Vec<Event>,
    ) -> Vec<Arc<str>> {
        let Some(outstanding) = self.take_outstanding(nonce) else {
            return Vec::new();
        };
        self.counters.refused += 1;
        let text: Arc<str> = blame::shorten(message).into();
        self.counters.last_refusal = Some(Arc::clone(&text));
        let names: Vec<Arc<str>> = outstanding
            .items
            .iter()
            .map(|item| Arc::clone(&item.name))
            .collect();
        // The only resource of a response is meant whether it is named or not, and the client has what it had.
        let alone = names.len() == 1 && self.mode != Mode::World;
        let blame = blame::blamed(message, names.iter().map(|name| &**name));
        let mut accepted = Vec::new();
        for item in outstanding.items {
            let (message, before) = match blame.named.get(&*item.name) {
                Some(message) => (message.as_str().into(), item.before.clone()),
                None if alone => (Arc::clone(&text), item.before.clone()),
                None if blame.named.is_empty() || blame.more => {
                    (Arc::clone(&text), self.unsure(&item.before))
                }
                None => {
                    accepted.extend(self.accept_item(item, events));
                    continue;
                }
            };
            self.refuse_item(item, before, message, events);
        }
        self.sweep(lookup);
        accepted
    }

    /// What a client has of a resource after it refused a whole response.
    fn unsure(&self, before: &Held) -> Held {
        match before {
            // It goes on getting everything, and so must get what it had, or it would delete that.
            Held::Resource(_) if self.mode == Mode::World => before.clone(),
            _ => Held::Unsure,
        }
    }

    fn refuse_item(
        &mut self,
        item: Item,
        before: Held,
        message: Arc<str>,
        events: &mut Vec<Event>,
    ) {
        // A removal that is refused is not repeated: there is nothing better to say.
        let Some(resource) = item.resource else {
            return;
        };
        let before = match before {
            Held::Asked => Held::Unsure,
            known => known,
        };
        if !self.subscription.contains(&item.name) {
            return;
        }
        let refusal = Arc::new(Refusal {
            type_url: self.type_url,
            resource: Arc::clone(&item.name),
            version: resource.version.clone(),
            origin: resource.origin.clone(),
            message,
        });
        events.push(Event::Refused(Arc::clone(&refusal)));
        self.refused.insert(
            Arc::clone(&item.name),
            Refused {
                version: resource.version.clone(),
                refusal,
            },
        );
        if !matches!(self.open.get(&item.name), Some(Held::Asked)) {
            self.open.insert(item.name, before);
        }
    }

    fn take_outstanding(&mut self, nonce: &str) -> Option<Outstanding> {
        let nonce: u64 = nonce.parse().ok()?;
        self.outstanding
            .take_if(|outstanding| outstanding.nonce == nonce)
    }

    /// What the client refuses at present.
    pub(in crate::session) fn refusals(&self) -> impl Iterator<Item = &Arc<Refusal>> {
        self.refused.values().map(|refused| &refused.refusal)
    }
}
