//! Which replica leads: a Lease (coordination.k8s.io/v1) that one holds and renews, with the times of Kubernetes' own components.
//!
//! [`Candidate`] decides (pure), [`campaign`] asks and writes. Clocks of different machines are never compared: whether another's lease has
//! run out is measured from the moment when its last renewal was first seen here. A holder that cannot renew steps down before others may
//! take over.

mod campaign;
mod candidate;

pub use campaign::{Campaign, campaign};
pub use candidate::{Candidate, Move, Settings};

#[cfg(test)]
mod tests;
