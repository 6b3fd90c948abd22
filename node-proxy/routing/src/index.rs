//! What makes looking up independent of how many there are: routes by their paths, virtual hosts by their domains.

mod domains;
mod paths;

pub use domains::VirtualHosts;
pub use paths::Routes;
