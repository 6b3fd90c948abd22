//! What the plugin and the node proxy say to each other: one request and one answer on each connection, JSON, each on a line.

use std::{collections::BTreeSet, net::IpAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Where the node proxy listens, unless the plugin's configuration says otherwise.
pub const SOCKET: &str = "/run/heddle/cni.sock";

/// The file beside the socket in which the node proxy leaves what the plugin may know without it.
pub const OUTSIDE: &str = "outside.json";

/// Namespaces outside of the mesh, as last known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// There are pods in them, and none of these, on any node, is in the mesh.
    pub namespaces: BTreeSet<String>,
}

/// Neither side reads more than this, in bytes. A node's 250 containers in one [`Request::Gc`] take a tenth of it.
pub const LONGEST_MESSAGE: u64 = 256 * 1024;

/// A pod's sandbox, attached to the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// metadata.namespace.
    pub namespace: String,
    /// metadata.name.
    pub pod: String,
    /// metadata.uid, from runtimes that tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The sandbox, in the runtime's words.
    pub container: String,
    /// File of the network namespace.
    pub netns: PathBuf,
    /// The pod's addresses, as the plugins before gave them out.
    pub addresses: Vec<IpAddr>,
}

/// What the plugin asks of the node proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Request {
    /// Here is a new sandbox. Answered when its capture stands or it is known not to be in the mesh, at the limit in any case.
    Add {
        /// The sandbox.
        attachment: Attachment,
        /// Milliseconds.
        limit_ms: u64,
    },
    /// How is it with this sandbox? Answered at once.
    Check {
        /// The sandbox.
        container: String,
    },
    /// This sandbox goes.
    Del {
        /// The sandbox.
        container: String,
    },
    /// There are no sandboxes but these.
    Gc {
        /// The sandboxes.
        containers: Vec<String>,
    },
}

/// What the node proxy answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Answer {
    /// The pod is in the mesh, and its capture stands.
    Captured,
    /// The pod is known, and not in the mesh.
    Outside,
    /// The pod is in the mesh, and its capture does not stand yet.
    Waiting {
        /// What it waits for, in words.
        why: String,
    },
    /// The control plane has not told of this pod (yet), or the sandbox was never announced.
    Unknown,
    /// Taken note of.
    Done,
    /// The request makes no sense.
    Refused {
        /// Why, in words.
        why: String,
    },
}
