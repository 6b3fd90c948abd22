//! A response, before it becomes bytes.

use std::sync::Arc;

use heddle_snapshot::{Resource, TypeUrl};

use crate::wire;

/// What is to be sent to a client.
#[derive(Clone, Debug)]
pub struct Response {
    /// Type of its resources.
    pub type_url: TypeUrl,
    /// What the client's answer refers to.
    pub nonce: String,
    /// Ordered by name; no name twice.
    pub resources: Vec<Arc<Resource>>,
    /// Names that are gone or never were (delta only).
    pub removed: Vec<Arc<str>>,
}

impl Response {
    pub(super) fn new(
        type_url: TypeUrl,
        nonce: u64,
        resources: Vec<Arc<Resource>>,
        removed: Vec<Arc<str>>,
    ) -> Self {
        Self {
            type_url,
            nonce: nonce.to_string(),
            resources,
            removed,
        }
    }

    /// Hash of what it says, the same on every replica; of one resource alone its own version, so that a state-of-the-world client, which
    /// knows no other, shows the one that everybody else shows.
    pub fn version(&self) -> String {
        if let [only] = self.resources.as_slice() {
            return only.version.as_str().to_owned();
        }
        // FNV-1a: short, stable, and nothing depends on it being hard to forge.
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        let mut feed = |text: &str| {
            for byte in text.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        };
        for resource in &self.resources {
            feed(&resource.name);
            feed(resource.version.as_str());
        }
        format!("{hash:016x}")
    }

    /// What a state-of-the-world client is told beside the resources.
    pub(crate) fn state_of_the_world(&self) -> wire::StateOfTheWorld {
        wire::StateOfTheWorld {
            version_info: self.version(),
            type_url: self.type_url.to_owned(),
            nonce: self.nonce.clone(),
        }
    }

    /// What a delta client is told beside the resources.
    pub(crate) fn delta(&self) -> wire::Delta {
        wire::Delta {
            type_url: self.type_url.to_owned(),
            nonce: self.nonce.clone(),
            removed_resources: self.removed.iter().map(|name| name.to_string()).collect(),
        }
    }
}
