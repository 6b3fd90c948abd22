//! When a root comes, signs and goes: pure.
//!
//! ```text
//! trusted ──distribution──▶ signs ───────────────▶ retires ──leaf lifetime──▶ dropped
//! ```
//!
//! A new root signs only after every proxy had time to learn of it; an old one stays trusted until the last certificate that it signed
//! has ended. At most two roots are trusted at a time.

use std::time::Duration;

use time::OffsetDateTime;

/// Counts the roots of a mesh, from 1.
pub type RootId = u64;

/// How long the phases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationSettings {
    /// Lifetime of a root.
    pub root_lifetime: Duration,
    /// How long before a root's end its successor comes; more than `distribution` + `leaf_lifetime`.
    pub renew_before: Duration,
    /// From the moment a root is trusted to the moment it signs: longer than a proxy is ever without the control plane.
    pub distribution: Duration,
    /// Longest lifetime of a certificate that a root signs, with clock skew.
    pub leaf_lifetime: Duration,
}

impl Default for RotationSettings {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            root_lifetime: DAY * 3650,
            renew_before: DAY * 365,
            distribution: DAY * 2,
            leaf_lifetime: DAY + Duration::from_secs(3600),
        }
    }
}

/// What is known of one root's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RootTimes {
    /// Which root.
    pub id: RootId,
    /// Since when it is in the trust bundle.
    #[serde(with = "time::serde::rfc3339")]
    pub trusted_since: OffsetDateTime,
    /// When its certificate ends.
    #[serde(with = "time::serde::rfc3339")]
    pub not_after: OffsetDateTime,
    /// Where in its life it is.
    pub state: RootState,
}

/// Where in its life a root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase")]
pub enum RootState {
    /// Trusted; signs later.
    Waits,
    /// Signs.
    Signs,
    /// Signed until then.
    Retired {
        /// When its successor began to sign.
        #[serde(with = "time::serde::rfc3339")]
        since: OffsetDateTime,
    },
}

/// All roots that are trusted, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rotation {
    /// Never more than two, exactly one of which signs.
    pub roots: Vec<RootTimes>,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a root of this number and trust it.
    Introduce(RootId),
    /// Let this root sign.
    Promote(RootId),
    /// Trust this root no longer, and forget its key.
    Drop(RootId),
}

impl Rotation {
    /// The root that signs.
    pub fn signing(&self) -> Option<RootId> {
        let signs = |root: &&RootTimes| root.state == RootState::Signs;
        self.roots.iter().find(signs).map(|root| root.id)
    }

    /// The next thing to do, if it is time. `requested`: the operator wants a new root now.
    pub fn step(
        &self,
        settings: &RotationSettings,
        now: OffsetDateTime,
        requested: bool,
    ) -> Option<Step> {
        let Some(last) = self.roots.last() else {
            return Some(Step::Introduce(1));
        };
        let Some(signing) = self.signing() else {
            return Some(Step::Promote(last.id));
        };
        for root in &self.roots {
            match root.state {
                RootState::Retired { since } if now >= since + settings.leaf_lifetime => {
                    return Some(Step::Drop(root.id));
                }
                RootState::Waits if now >= root.trusted_since + settings.distribution => {
                    return Some(Step::Promote(root.id));
                }
                _ => {}
            }
        }
        let ends_soon = now + settings.renew_before >= last.not_after;
        let alone = self.roots.len() == 1 && last.id == signing;
        (alone && (ends_soon || requested)).then_some(Step::Introduce(last.id + 1))
    }

    /// The state after a step. `not_after` is the new root's end, for `Introduce`.
    #[must_use]
    pub fn after(&self, step: Step, now: OffsetDateTime, not_after: OffsetDateTime) -> Self {
        let mut roots = self.roots.clone();
        match step {
            Step::Introduce(id) => roots.push(RootTimes {
                id,
                trusted_since: now,
                not_after,
                state: RootState::Waits,
            }),
            Step::Promote(id) => {
                for root in &mut roots {
                    match root.state {
                        RootState::Signs => root.state = RootState::Retired { since: now },
                        RootState::Waits if root.id == id => root.state = RootState::Signs,
                        RootState::Waits | RootState::Retired { .. } => {}
                    }
                }
            }
            Step::Drop(id) => roots.retain(|root| root.id != id),
        }
        Self { roots }
    }
}
