//! Versioned xDS resources, and who may see which.
//!
//! A [`Resource`] is encoded once, versioned by the hash of its content and shared by all streams. A [`Snapshot`] is the
//! immutable set of all of them; a [`View`] picks what one client sees; [`diff`] tells what changed between two sets.
//! Pure: no I/O, no clock. `translate` fills snapshots, `xds-server` streams them.

mod diff;
mod resource;
mod snapshot;
mod view;

#[cfg(test)]
mod tests;

pub use diff::{Diff, diff};
pub use resource::{Resource, TypeUrl, Version};
pub use snapshot::{Placement, ResourcesByType, ResourcesOfType, Snapshot};
pub use view::{Role, Scope, View};
