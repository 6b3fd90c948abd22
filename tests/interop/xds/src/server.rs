//! A server under test.

use std::{net::SocketAddr, time::Duration};

use futures::future::BoxFuture;

use crate::World;

/// What the suite needs of a server beside gRPC.
pub trait Server: Send + Sync {
    /// Where it listens, without TLS. A client says who it is by `authorization: Bearer <node id>`, for those that want to know.
    fn address(&self) -> SocketAddr;

    /// Serves this from now on, to every node.
    fn set<'a>(&'a self, world: &'a World) -> BoxFuture<'a, anyhow::Result<()>>;

    /// How often it sends heartbeats of resources with a time to live; `None` if it never gives resources one.
    fn heartbeats(&self) -> Option<Duration>;
}
