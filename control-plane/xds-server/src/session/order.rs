//! What a session sends next, and when it goes on to another snapshot.

use std::{
    sync::{Arc, LazyLock},
    time::Instant,
};

use heddle_proto::type_url;
use heddle_snapshot::{ResourcesOfType, Snapshot, TypeUrl};

use super::{
    Response, Session, place_of,
    resources::{Half, Lookup, Progress},
};

/// Removals: first what refers to others, then what is referred to.
const REMOVAL_ORDER: [TypeUrl; 8] = [
    type_url::DNS_TABLE,
    type_url::LISTENER,
    type_url::ROUTE_CONFIGURATION,
    type_url::CLUSTER,
    type_url::CLUSTER_LOAD_ASSIGNMENT,
    type_url::SECRET,
    type_url::ADDRESS_SET,
    type_url::WORKLOAD,
];

static NO_RESOURCES: LazyLock<Arc<ResourcesOfType>> = LazyLock::new(Arc::default);

/// What to do next.
pub(super) enum Step {
    Send(TypeUrl, Half),
    Wait,
    Done,
}

impl Session {
    pub(super) fn next_step(&self, now: Instant) -> Step {
        let lookup = Lookup {
            snapshot: &self.pinned,
            view: &self.view,
        };
        let ordered = self
            .types
            .values()
            .map(|resources| (resources, Half::Additions));
        let reverse = REMOVAL_ORDER
            .iter()
            .filter_map(|type_url| self.types.get(&place_of(type_url)?))
            .map(|resources| (resources, Half::Removals));
        for (resources, half) in ordered.chain(reverse) {
            match resources.progress(lookup, half, now) {
                Progress::Ready => return Step::Send(resources.type_url, half),
                Progress::Waiting if resources.type_url == type_url::CLUSTER => {
                    return self.endpoints_step(lookup, now);
                }
                Progress::Waiting => return Step::Wait,
                Progress::Settled | Progress::Overdue => {}
            }
            if resources.type_url == type_url::CLUSTER_LOAD_ASSIGNMENT && self.is_awaiting(now) {
                return Step::Wait;
            }
        }
        Step::Done
    }

    /// Envoy answers no clusters while any of them lacks its endpoints (it pauses CDS while clusters warm), so endpoints do not wait for
    /// that answer.
    fn endpoints_step(&self, lookup: Lookup<'_>, now: Instant) -> Step {
        let endpoints = place_of(type_url::CLUSTER_LOAD_ASSIGNMENT);
        let endpoints = endpoints.and_then(|place| self.types.get(&place));
        match endpoints.map(|endpoints| endpoints.progress(lookup, Half::Additions, now)) {
            Some(Progress::Ready) => Step::Send(type_url::CLUSTER_LOAD_ASSIGNMENT, Half::Additions),
            _ => Step::Wait,
        }
    }

    fn is_awaiting(&self, now: Instant) -> bool {
        self.awaited
            .as_ref()
            .is_some_and(|awaited| awaited.deadline > now && !awaited.names.is_empty())
    }

    pub(super) fn send(&mut self, type_url: TypeUrl, half: Half, now: Instant) -> Option<Response> {
        self.nonce += 1;
        let nonce = self.nonce;
        let deadline = now + self.limits.answer_timeout;
        let limit = self.limits.response_bytes;
        let (resources, lookup, _) = self.parts(place_of(type_url)?)?;
        let response = resources.send(half, lookup, nonce, deadline, limit);
        if type_url == type_url::CLUSTER {
            let clusters = resources.unanswered();
            self.repeat_endpoints(&clusters);
        }
        Some(response)
    }

    /// Envoy waits for the endpoints of a cluster that it was sent, also if they did not change, and need not ask for them again.
    fn repeat_endpoints(&mut self, clusters: &[Arc<str>]) {
        let endpoints = place_of(type_url::CLUSTER_LOAD_ASSIGNMENT);
        let Some((endpoints, lookup, _)) = endpoints.and_then(|place| self.parts(place)) else {
            return;
        };
        for name in clusters {
            endpoints.repeat(name, lookup);
        }
    }

    /// Goes on to another snapshot: notes for each difference what the client has.
    pub(super) fn pin(&mut self, newest: Arc<Snapshot>) {
        self.awaited = None;
        let pinned = std::mem::replace(&mut self.pinned, newest);
        let old = Lookup {
            snapshot: &pinned,
            view: &self.view,
        };
        let new = Lookup {
            snapshot: &self.pinned,
            view: &self.view,
        };
        let node = &self.view.node;
        let moved = pinned.placement.get(node) != self.pinned.placement.get(node);
        for resources in self.types.values_mut() {
            let role = self.view.role;
            let before = pinned
                .edition(role, resources.type_url)
                .unwrap_or(&NO_RESOURCES);
            let after = self
                .pinned
                .edition(role, resources.type_url)
                .unwrap_or(&NO_RESOURCES);
            if moved {
                // The node's set of namespaces decides what it sees: anything may have come or gone.
                for name in before.keys().chain(after.keys()) {
                    resources.touch(name, old);
                }
            } else if !Arc::ptr_eq(before, after) {
                let diff = self.shared.diffs.between(before, after);
                for resource in &diff.changed {
                    resources.touch(&resource.name, old);
                }
                for name in &diff.removed {
                    resources.touch(name, old);
                }
            } else {
                continue;
            }
            resources.sweep(new);
            resources.sweep_refusals(new, &mut self.events);
        }
    }
}
