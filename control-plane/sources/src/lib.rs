//! Where the objects come from: a watched folder of YAML ([`files`]) or a Kubernetes API server ([`kubernetes`]).
//!
//! Both give the same thing: [`Updates`], each an immutable [`Cluster`](heddle_resources::Cluster), the set of objects that changed since the last
//! one, and the [`Problem`]s of all objects that could not be read. The first update comes when everything has been read once; after
//! that, what happens while the consumer is busy is put together, a lone change goes out at once, and many at a [`Pace`].
//!
//! A source reads and checks; it never judges what objects mean together (that is `resolve`), and never writes.
//!
//! A broken object harms only itself: what was good before stays in effect, and the problem says so.

pub mod files;
pub mod kubernetes;
mod pace;
mod problem;
mod updates;

pub use pace::Pace;
pub use problem::{Place, Places, Problem, Severity};
pub use updates::{Obstacles, Update, Updates};
