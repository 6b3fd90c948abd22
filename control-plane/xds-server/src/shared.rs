//! What the streams of a server have in common beside the snapshot.

use crate::{Blocks, Diffs, session::NameSets};

/// Work and memory that streams share. Nothing of it changes what a stream says.
#[derive(Debug, Default)]
pub struct Shared {
    /// Recent comparisons.
    pub diffs: Diffs,
    /// Resources of large responses.
    pub blocks: Blocks,
    /// Sets of names that several streams ask for.
    pub names: NameSets,
}
