//! What the store refers to.

use std::collections::BTreeSet;

/// Names that are referred to, and must be subscribed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referenced {
    /// RouteConfigurations.
    pub routes: BTreeSet<String>,
    /// Secrets, beside the mesh's own.
    pub secrets: BTreeSet<String>,
    /// ClusterLoadAssignments.
    pub endpoints: BTreeSet<String>,
}
