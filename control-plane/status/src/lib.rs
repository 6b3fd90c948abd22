//! What the control plane writes back to the API server: statuses, and Events where they turn. Only a leader writes ([`lease`]).
//!
//! ```text
//! (cluster, statuses) ─▶ due: what differs ─▶ queue ─▶ read afresh ─▶ patch (pure) ─▶ status subresource, if anything differs
//! ```
//!
//! [`patch()`] decides what to write: our entries and conditions as `resolve` states them, the time of the last transition kept where nothing
//! turned, and what others wrote left alone. The [`run`] loop compares with what the watches last saw, so that an object in order costs no
//! request, and a status that somebody spoiled is repaired. A write that fails harms only its object, which is tried again with growing pauses.
//!
//! This crate decides nothing about objects (that is `resolve`), and never writes anything but a status, an Event and its own Lease. The
//! control plane is its only user.

mod class;
mod conditions;
mod events;
mod facts;
mod gateway;
pub mod lease;
mod parents;
mod patch;
mod queue;
mod run;
mod writer;

pub use conditions::Transition;
pub use facts::Facts;
pub use patch::{Context, Patch, Wanted, patch};
pub use run::run;
pub use writer::{Outcome, WriteError, Writer};

#[cfg(test)]
mod tests;
