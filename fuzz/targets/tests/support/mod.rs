//! Valid messages to begin with, and changed ones.

mod changes;
mod seeds;

pub(crate) use changes::Changes;
pub(crate) use seeds::seeds;
