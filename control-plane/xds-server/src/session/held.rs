//! What the server knows about the client's copy of one resource, where it is not simply the current one.

use std::sync::Arc;

use heddle_snapshot::{Resource, Version};

/// The client's copy.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// None, and the client did not ask for it by itself.
    Nothing,
    /// None or forgotten, and the client waits for an answer about exactly this name.
    Asked,
    /// One or none: it refused a response without saying which resources it meant.
    Unsure,
    /// One of this version, as it told when it came back.
    Version(Arc<str>),
    /// This one.
    Resource(Arc<Resource>),
}

/// What is to be done about it.
#[derive(Debug)]
pub(super) enum Due<'a> {
    /// The client is up to date.
    Nothing,
    /// It refused exactly this version, and is left with what it has.
    Refused,
    /// It must get this.
    Send(&'a Arc<Resource>),
    /// It asked for what does not exist.
    Missing,
    /// It has what no longer exists.
    Remove,
}

impl Held {
    /// Compares with what the client should have.
    pub(super) fn due<'a>(
        &self,
        current: Option<&'a Arc<Resource>>,
        refused: Option<&Version>,
    ) -> Due<'a> {
        match (self, current) {
            (Self::Nothing, None) => Due::Nothing,
            (Self::Asked, None) => Due::Missing,
            (Self::Unsure | Self::Version(_) | Self::Resource(_), None) => Due::Remove,
            (Self::Version(version), Some(current)) if **version == *current.version.as_str() => {
                Due::Nothing
            }
            (Self::Resource(held), Some(current)) if held.version == current.version => {
                Due::Nothing
            }
            (_, Some(current)) if refused == Some(&current.version) => Due::Refused,
            (_, Some(current)) => Due::Send(current),
        }
    }
}
