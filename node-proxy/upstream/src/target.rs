//! What connections and requests are sent to, and what comes of it.

use std::{fmt, net::SocketAddr, sync::Arc};

use heddle_config::{ClientTls, Workload};
use heddle_hbone::ByteStream;
use heddle_routing::ClusterName;

use crate::Body;

/// Where a connection is to go.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To an endpoint of this cluster.
    Cluster(ClusterName),
    /// To this address and no other (a pod's own address, or something outside the mesh).
    Address(SocketAddr),
}

/// A connection: plain TCP or an HBONE stream.
pub trait Io: ByteStream + Send {}

impl<T: ByteStream + Send> Io for T {}

/// A connection of either kind.
pub type BoxedIo = Box<dyn Io>;

/// What was chosen.
#[derive(Clone, Debug)]
pub struct Target {
    /// The endpoint's real address and port.
    pub address: SocketAddr,
    /// Who is there, if known.
    pub workload: Option<Arc<Workload>>,
    /// Whether its identity was proven by mutual TLS.
    pub mtls: bool,
    /// TLS that its cluster speaks, inside of whatever leads to it.
    pub tls: Option<ClientTls>,
}

/// A connection that stands.
pub struct Connected {
    /// The bytes. Counts as load of the endpoint until dropped.
    pub io: BoxedIo,
    /// To whom.
    pub target: Target,
}

impl fmt::Debug for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connected")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// A response, and who gave it.
#[derive(Debug)]
pub struct Answer {
    /// The response as it came, hop-by-hop headers included. After 101 use [`hyper::upgrade::on`].
    pub response: http::Response<Body>,
    /// From whom.
    pub target: Target,
}
