//! What a session tells about itself.

use std::sync::Arc;

use heddle_snapshot::{TypeUrl, Version};

/// A client refused a version of a resource (NACK).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Type of the resource.
    pub type_url: TypeUrl,
    /// Its name.
    pub resource: Arc<str>,
    /// The version refused. It is not sent again; another version is.
    pub version: Version,
    /// The user's objects it was made from.
    pub origin: Vec<Arc<str>>,
    /// What the client says, shortened.
    pub message: Arc<str>,
}

/// A change in what a client refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// It refuses this now.
    Refused(Arc<Refusal>),
    /// It accepted another version since, or the resource is gone.
    Cleared(Arc<Refusal>),
}

/// What happened with one type on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Responses sent.
    pub responses: u64,
    /// Resources in them.
    pub resources: u64,
    /// Removals in them.
    pub removals: u64,
    /// Responses accepted (ACK).
    pub accepted: u64,
    /// Responses refused (NACK).
    pub refused: u64,
    /// What the client said when it last refused one, shortened.
    pub last_refusal: Option<Arc<str>>,
}

/// One type on one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeState {
    /// The type.
    pub type_url: TypeUrl,
    /// Whether the client wants everything it may see.
    pub wildcard: bool,
    /// How many names it wants.
    pub names: usize,
    /// What happened.
    pub counters: Counters,
    /// What it refuses at present.
    pub refusals: Vec<Arc<Refusal>>,
}
