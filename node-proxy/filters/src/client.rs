//! Who sent a request, as far as the connection tells.

use std::{net::SocketAddr, sync::Arc};

use heddle_config::Workload;
use heddle_identity::SpiffeId;
use heddle_telemetry::{Label, PeerName};

/// Who sent a request, as far as the connection tells: never what a header claims.
#[derive(Clone, Debug)]
pub struct Client {
    /// The address at the other end.
    pub address: SocketAddr,
    /// The pod at that address, if one is known: `shop/cart-7d4`.
    pub pod: Option<Arc<str>>,
    /// Who it is. Of an outbound connection: the pod's own; of an inbound one: proven by mutual TLS, else `None`.
    pub identity: Option<SpiffeId>,
    /// For metrics: the object that made the pod.
    pub workload: Label,
    /// For metrics: the pod's namespace.
    pub namespace: Label,
}

impl Client {
    /// A client at an address, with what is known about it.
    pub fn new(
        address: SocketAddr,
        workload: Option<&Workload>,
        identity: Option<SpiffeId>,
    ) -> Self {
        Self {
            address,
            pod: workload.map(|workload| workload.name.to_string().into()),
            identity,
            workload: workload.map(|w| Label::new(&w.owner)).unwrap_or_default(),
            namespace: workload
                .map(|w| Label::new(w.name.namespace.shared()))
                .unwrap_or_default(),
        }
    }

    /// For the access log.
    pub fn peer_name(&self) -> PeerName {
        PeerName {
            address: Some(self.address),
            pod: self.pod.clone(),
            identity: self.identity.clone(),
        }
    }
}
