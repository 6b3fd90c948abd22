//! From the mesh to xDS resources, as `docs/xds.md` says.
//!
//! [`Translator::update`] takes the whole mesh, compares its entries with those it saw last, and encodes again only the
//! resources that depend on an entry that changed; the rest of the [`Snapshot`](heddle_snapshot::Snapshot) is shared with
//! the last one. [`translate`] is the same code with nothing to remember. The controller calls the first, `heddle translate`
//! and tests the second. [`render`] makes resources readable.
//!
//! Pure: no I/O, no clock, no randomness; it knows neither Kubernetes nor streams. It never refuses anything: what the
//! model can say, xDS can.
//!
//! ```text
//! Mesh ─▶ units (one per entry: what a resource depends on, and nothing more) ─▶ resources ─▶ Snapshot
//! ```
//!
//! One module per resource kind, one file per filter.

mod address_sets;
mod clusters;
mod dns;
mod endpoints;
mod envoy;
mod filters;
mod grpc;
mod listeners;
mod memo;
mod policy;
pub mod render;
mod resources;
mod routes;
mod secrets;
mod seen;
mod translator;
mod wire;
mod workloads;

#[cfg(test)]
mod tests;

pub use translator::{Counts, Translator, Update, translate};
