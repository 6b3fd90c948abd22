//! From Kubernetes objects to the mesh: applies the rules of Services, the Gateway API and NetworkPolicy.
//!
//! ```text
//! heddle_resources::Cluster ─ resolve ─▶ Resolved { mesh, statuses, problems }
//! ```
//!
//! The result is made of values only: the [`Mesh`](heddle_model::Mesh) that `translate` reads, the [`Statuses`] that a leader may write
//! back, and the [`Problem`]s, one for each field that cannot be honoured. A broken object never stops the others; a broken policy allows less,
//! never more.
//!
//! This crate does no I/O, has no clock and no randomness: the same objects give the same result, in whatever order they came. It is called
//! by the control plane (through [`Resolver`], on each batch of changes) and by the command line (through [`resolve`], once).
//!
//! The work is cut into facets (nodes, workloads, services, endpoints, routes, policies, address sets). [`Resolver`] recomputes
//! only the facets that a change touches, and an entry that comes out equal keeps its `Arc`.

mod authorization;
mod changes;
mod claims;
mod endpoints;
mod gateways;
mod names;
mod namespaces;
mod network_policy;
mod nodes;
mod pod_policy;
mod pods;
mod problem;
mod resolver;
mod retain;
mod routes;
mod selector;
mod services;
mod settings;
mod status;
mod workloads;

pub use problem::Problem;
pub use resolver::{Resolved, Resolver, resolve};
pub use routes::{REGEX_NEST_LIMIT, REGEX_SIZE_LIMIT};
pub use settings::{CONTROLLER_NAME, Settings};
pub use status::{
    Condition, ConditionType, GatewayClassStatus, GatewayStatus, ListenerStatus, ParentRef,
    ParentStatus, RouteStatus, Statuses,
};
