//! What a candidate does next. Pure.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use tokio::time::Instant;

/// Who runs for the lease, and its times.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The candidate's name: no two processes may have the same.
    pub identity: String,
    /// For how long others leave the lease to its holder after a renewal.
    pub duration: Duration,
    /// For how long after a renewal the holder still leads; shorter than `duration`.
    pub deadline: Duration,
    /// From one look at the lease to the next.
    pub retry: Duration,
}

impl Settings {
    /// The times that Kubernetes' own components use: 15 s, 10 s and 2 s.
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            duration: Duration::from_secs(15),
            deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// What a candidate does with the lease that it has read.
#[derive(Clone, Debug, PartialEq)]
pub enum Move {
    /// There is none: make it.
    Create(LeaseSpec),
    /// It is ours, or free: write this over the version that was read.
    Replace(LeaseSpec),
    /// Somebody else holds it.
    Wait,
}

/// A replica that wants to lead.
#[derive(Clone, Debug)]
pub struct Candidate {
    settings: Settings,
    /// The lease as it was last seen, and since when it looks so.
    seen: Option<(LeaseSpec, Instant)>,
    /// The beginning of our last successful write of it.
    renewed: Option<Instant>,
}

impl Candidate {
    /// Has seen nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            seen: None,
            renewed: None,
        }
    }

    /// Looks at the lease (`None`: there is none) and decides. `wall` goes into what is written, for people only.
    pub fn look(&mut self, lease: Option<&Lease>, now: Instant, wall: Timestamp) -> Move {
        let Some(lease) = lease else {
            self.seen = None;
            self.renewed = None;
            return Move::Create(self.spec(0, wall, wall));
        };
        let present = lease.spec.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == present => *since,
            _ => now,
        };
        self.seen = Some((present.clone(), since));
        let holder = present.holder_identity.as_deref().unwrap_or_default();
        let transitions = present.lease_transitions.unwrap_or_default();
        if holder == self.settings.identity {
            let acquired = present.acquire_time.map_or(wall, |time| time.0);
            return Move::Replace(self.spec(transitions, acquired, wall));
        }
        self.renewed = None;
        if holder.is_empty() || now >= since + self.term(&present) {
            return Move::Replace(self.spec(transitions.saturating_add(1), wall, wall));
        }
        Move::Wait
    }

    /// What we decided was written; `asked` is the moment before the request.
    pub fn won(&mut self, asked: Instant) {
        self.renewed = Some(asked);
    }

    /// Until when this replica leads, if it does.
    pub fn leads_until(&self) -> Option<Instant> {
        Some(self.renewed? + self.settings.deadline)
    }

    /// Whether this replica leads now.
    pub fn leads(&self, now: Instant) -> bool {
        self.leads_until().is_some_and(|until| now < until)
    }

    /// What to write over a lease of ours, so that another candidate need not wait; `None` if it is not ours.
    pub fn release(&self, lease: &Lease, wall: Timestamp) -> Option<LeaseSpec> {
        let present = lease.spec.as_ref()?;
        if present.holder_identity.as_ref() != Some(&self.settings.identity) {
            return None;
        }
        Some(LeaseSpec {
            holder_identity: None,
            lease_duration_seconds: Some(1),
            renew_time: Some(MicroTime(wall)),
            ..present.clone()
        })
    }

    /// From one look at the lease to the next.
    pub(crate) fn retry(&self) -> Duration {
        self.settings.retry
    }

    /// For how long the holder may keep it. A duration that makes no sense counts as ours.
    fn term(&self, spec: &LeaseSpec) -> Duration {
        let seconds = spec.lease_duration_seconds;
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        seconds
            .filter(|seconds| (1..=3600).contains(seconds))
            .map_or(self.settings.duration, Duration::from_secs)
    }

    fn spec(&self, transitions: i32, acquired: Timestamp, wall: Timestamp) -> LeaseSpec {
        let seconds = self.settings.duration.as_secs();
        LeaseSpec {
            holder_identity: Some(self.settings.identity.clone()),
            lease_duration_seconds: i32::try_from(seconds).ok(),
            acquire_time: Some(MicroTime(acquired)),
            renew_time: Some(MicroTime(wall)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}
