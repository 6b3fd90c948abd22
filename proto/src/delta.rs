//! A delta response without its envelope: what goes from the stream to whoever keeps the resources, and what comes back.

use crate::google::protobuf::Any;

/// Some resources of one type: a delta response, or a part of the last good configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// Type of all of them: one of [`type_url`](crate::type_url).
    pub type_url: String,
    /// New or changed: name, version, body.
    pub resources: Vec<(String, String, Any)>,
    /// Names of those that are gone, or that do not exist.
    pub removed: Vec<String>,
}

/// A resource that was refused. Its last good value, if there is one, stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// Its name.
    pub name: String,
    /// Resource, field and problem, one line: `Listener shop/cart:80: address: must be a socket_address`.
    pub message: String,
}
