//! The control plane's part in a cluster, with an API server in memory.

mod api;
mod authority;
mod bundle;
mod living;
mod reviews;
