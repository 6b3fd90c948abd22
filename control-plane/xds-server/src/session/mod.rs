//! The xDS protocol on one stream, as a pure state machine.
//!
//! Inputs: requests, snapshots, the time. Output: responses to send. No sockets, no tasks, no clock: every rule of the
//! protocol is a unit test. The driver in [`crate::server`] only feeds it.
//!
//! **Order (make before break).** A stream works off one pinned snapshot at a time. A type may be sent when nothing of the
//! types before it ([`PUSH_ORDER`]) is unsent or unanswered; removals follow when all additions are answered, in reverse. Only
//! then is the newest snapshot pinned; those that came in between are never looked at. A response that stays unanswered
//! for too long ([`Limits::answer_timeout`]) stops holding up the others, but blocks its own type, so that a slow client has
//! at most one response of each type on the way.

mod blame;
mod held;
mod limits;
mod names;
mod order;
mod report;
mod resources;
mod response;
mod standing;
mod subscription;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

use heddle_proto::{
    envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest},
    google::rpc::Status as RpcStatus,
    type_url::{self, PUSH_ORDER},
};
use heddle_snapshot::{Snapshot, View};

pub use limits::{Limits, NAME_COST, Violation};
pub use names::NameSets;
pub use report::{Counters, Event, Refusal, TypeState};
pub use response::Response;
pub use standing::{Progress, Running, Standing};

use crate::Shared;
use limits::Budget;
use order::Step;
use resources::{Lookup, Mode, Resources};

/// Which of the two protocols a stream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// `StreamAggregatedResources`.
    StateOfTheWorld,
    /// `DeltaAggregatedResources`.
    Delta,
}

/// Clusters that a client just accepted, but whose endpoints it has not asked for yet. Routes to them wait for that.
#[derive(Debug)]
struct Awaited {
    names: BTreeSet<Arc<str>>,
    deadline: Instant,
}

/// One stream's protocol state.
#[derive(Debug)]
pub struct Session {
    variant: Variant,
    view: View,
    /// What the client is being told.
    pinned: Arc<Snapshot>,
    /// What it is told next.
    newest: Option<Arc<Snapshot>>,
    /// The types asked for, by their place in [`PUSH_ORDER`].
    types: BTreeMap<usize, Resources>,
    nonce: u64,
    awaited: Option<Awaited>,
    events: Vec<Event>,
    budget: Budget,
    limits: Limits,
    shared: Arc<Shared>,
}

impl Session {
    /// A stream that has not asked for anything yet.
    pub fn new(
        variant: Variant,
        view: View,
        snapshot: Arc<Snapshot>,
        shared: Arc<Shared>,
        limits: Limits,
    ) -> Self {
        Self {
            variant,
            view,
            pinned: snapshot,
            newest: None,
            types: BTreeMap::new(),
            nonce: 0,
            awaited: None,
            events: Vec::new(),
            budget: Budget::new(&limits),
            limits,
            shared,
        }
    }

    /// Takes in a new snapshot. It is looked at by the next [`poll`](Self::poll) that finds the client up to date.
    pub fn snapshot(&mut self, snapshot: Arc<Snapshot>) {
        self.newest = Some(snapshot);
    }

    /// Takes in a request of a state-of-the-world client. A type that we do not know is ignored, as gRPC and Envoy do.
    pub fn state_of_the_world(
        &mut self,
        request: &DiscoveryRequest,
        now: Instant,
    ) -> Result<(), Violation> {
        self.budget.spend(&self.limits, now)?;
        self.check_names(&request.resource_names)?;
        let Some(place) = place_of(&request.type_url) else {
            return Ok(());
        };
        // The client had not seen the last response when it wrote this; it will answer that one, with all its names.
        if self.of(place).is_stale(&request.response_nonce) {
            return Ok(());
        }
        self.answered(
            place,
            &request.response_nonce,
            request.error_detail.as_ref(),
            now,
        );
        let sets = Arc::clone(&self.shared);
        let Some((resources, lookup, events)) = self.parts(place) else {
            return Ok(());
        };
        let known = lookup.names(resources.type_url);
        let change = resources
            .subscription
            .replace(&request.resource_names, known, &sets.names);
        resources.apply(change, &HashMap::new(), lookup, events);
        self.check_subscription(place)
    }

    /// Takes in a request of a delta client. A type that we do not know is ignored, as gRPC and Envoy do.
    pub fn delta(
        &mut self,
        request: &DeltaDiscoveryRequest,
        now: Instant,
    ) -> Result<(), Violation> {
        self.budget.spend(&self.limits, now)?;
        self.check_names(&request.resource_names_subscribe)?;
        let Some(place) = place_of(&request.type_url) else {
            return Ok(());
        };
        self.of(place);
        self.answered(
            place,
            &request.response_nonce,
            request.error_detail.as_ref(),
            now,
        );
        let sets = Arc::clone(&self.shared);
        let Some((resources, lookup, events)) = self.parts(place) else {
            return Ok(());
        };
        let nothing = HashMap::new();
        let initial = if resources.subscription.begun {
            &nothing
        } else {
            &request.initial_resource_versions
        };
        let change = resources.subscription.update(
            &request.resource_names_subscribe,
            &request.resource_names_unsubscribe,
            lookup.names(resources.type_url),
            &sets.names,
        );
        resources.apply(change, initial, lookup, events);
        self.check_subscription(place)
    }

    /// What can be sent now.
    pub fn poll(&mut self, now: Instant) -> Vec<Response> {
        let mut responses = Vec::new();
        loop {
            match self.next_step(now) {
                Step::Send(type_url, half) => responses.extend(self.send(type_url, half, now)),
                Step::Wait => return responses,
                Step::Done => match self.newest.take() {
                    Some(newest) => self.pin(newest),
                    None => return responses,
                },
            }
        }
    }

    /// When [`poll`](Self::poll) may have more to say even if nothing else happens.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let awaited = self.awaited.as_ref().map(|awaited| awaited.deadline);
        self.types
            .values()
            .filter_map(|resources| resources.deadline(now))
            .chain(awaited.filter(|deadline| *deadline > now))
            .min()
    }

    /// What was refused, and what is no longer refused, since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// For people who debug.
    pub fn state(&self) -> Vec<TypeState> {
        let state = |resources: &Resources| TypeState {
            type_url: resources.type_url,
            wildcard: resources.subscription.wildcard,
            names: resources.subscription.names.len(),
            counters: resources.counters.clone(),
            refusals: resources.refusals().cloned().collect(),
        };
        self.types.values().map(state).collect()
    }

    fn check_names(&self, names: &[String]) -> Result<(), Violation> {
        let limit = self.limits.name_length;
        match names.iter().map(String::len).find(|length| *length > limit) {
            Some(length) => Err(Violation::NameLength { length, limit }),
            None => Ok(()),
        }
    }

    fn check_subscription(&mut self, place: usize) -> Result<(), Violation> {
        let limit = self.limits.names;
        let Some(resources) = self.types.get(&place) else {
            return Ok(());
        };
        if resources.subscription.names.len() > limit {
            let type_url = resources.type_url.to_owned();
            return Err(Violation::Names { type_url, limit });
        }
        let cost: usize = self.types.values().map(|of| of.subscription.cost()).sum();
        if cost > self.limits.name_bytes {
            let limit = self.limits.name_bytes;
            return Err(Violation::NameBytes { limit });
        }
        if let Some(awaited) = &mut self.awaited
            && resources.type_url == type_url::CLUSTER_LOAD_ASSIGNMENT
        {
            awaited
                .names
                .retain(|name| !resources.subscription.contains(name));
        }
        Ok(())
    }

    fn of(&mut self, place: usize) -> &mut Resources {
        let type_url = PUSH_ORDER[place];
        let mode = match (self.variant, type_url) {
            (Variant::Delta, _) => Mode::Delta,
            (_, type_url::LISTENER | type_url::CLUSTER) => Mode::World,
            _ => Mode::Additive,
        };
        self.types
            .entry(place)
            .or_insert_with(|| Resources::new(type_url, mode))
    }

    /// The parts of the session that work together on one type.
    fn parts(&mut self, place: usize) -> Option<(&mut Resources, Lookup<'_>, &mut Vec<Event>)> {
        let lookup = Lookup {
            snapshot: &self.pinned,
            view: &self.view,
        };
        Some((self.types.get_mut(&place)?, lookup, &mut self.events))
    }

    /// An ACK or a NACK, if the request is one. Only `error_detail` makes a NACK, never a version.
    fn answered(&mut self, place: usize, nonce: &str, error: Option<&RpcStatus>, now: Instant) {
        let Some((resources, lookup, events)) = self.parts(place) else {
            return;
        };
        let accepted = match error {
            None => resources.accept(nonce, events),
            Some(error) => resources.refuse(nonce, &error.message, lookup, events),
        };
        if PUSH_ORDER[place] == type_url::CLUSTER && !accepted.is_empty() {
            self.clusters_accepted(accepted, now);
        }
    }

    /// A new cluster is of no use before its endpoints are there, so what comes behind waits until the client asked for them.
    fn clusters_accepted(&mut self, names: Vec<Arc<str>>, now: Instant) {
        let deadline = now + self.limits.answer_timeout;
        let endpoints = place_of(type_url::CLUSTER_LOAD_ASSIGNMENT);
        let Some((endpoints, lookup, _)) = endpoints.and_then(|place| self.parts(place)) else {
            return;
        };
        let mut missing = BTreeSet::new();
        for name in names {
            let exist = lookup
                .snapshot
                .find(lookup.view, endpoints.type_url, &name)
                .is_some();
            if exist && !endpoints.subscription.contains(&name) {
                missing.insert(name);
            }
        }
        self.awaited = (!missing.is_empty()).then_some(Awaited {
            names: missing,
            deadline,
        });
    }
}

fn place_of(type_url: &str) -> Option<usize> {
    PUSH_ORDER.iter().position(|known| *known == type_url)
}
