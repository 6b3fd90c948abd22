//! Gateways, served on the node's own addresses.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use heddle_config::{GatewayListener, ProxyConfig};
use heddle_identity::SpiffeId;
use heddle_redirect::{Netns, handover::Passed};
use tokio_util::sync::CancellationToken;

use crate::{
    sockets::{Kept, Sockets},
    worker::{GatewaySockets, Workers},
};

/// The Gateways' listeners that are open.
pub(crate) struct Gateways {
    identity: SpiffeId,
    netns: Netns,
    shutdown: CancellationToken,
    open: BTreeMap<Arc<str>, Open>,
    failed: BTreeMap<Arc<str>, String>,
}

/// A Gateway's listener that is open.
struct Open {
    address: SocketAddr,
    stop: CancellationToken,
    kept: Kept,
}

impl Gateways {
    pub(crate) fn new(identity: SpiffeId, shutdown: CancellationToken) -> anyhow::Result<Self> {
        Ok(Self {
            identity,
            netns: Netns::current()?,
            shutdown,
            open: BTreeMap::new(),
            failed: BTreeMap::new(),
        })
    }

    /// Opens and closes what the configuration says.
    pub(crate) fn look(&mut self, config: &ProxyConfig, workers: &Workers, sockets: &mut Sockets) {
        self.open.retain(|name, open| {
            let stays = config
                .gateways
                .get(name)
                .is_some_and(|gateway| gateway.address == open.address);
            if !stays {
                open.stop.cancel();
            }
            stays
        });
        self.failed
            .retain(|name, _| config.gateways.contains_key(name));
        for gateway in config.gateways.values() {
            if self.open.contains_key(&gateway.name) {
                continue;
            }
            let stop = self.shutdown.child_token();
            match self.listen(gateway, workers, sockets, &stop) {
                Ok(kept) => {
                    tracing::info!(gateway = %gateway.name, address = %gateway.address, "gateway open");
                    self.failed.remove(&gateway.name);
                    let address = gateway.address;
                    let open = Open {
                        address,
                        stop,
                        kept,
                    };
                    self.open.insert(Arc::clone(&gateway.name), open);
                }
                Err(error) => {
                    stop.cancel();
                    let text = error.to_string();
                    if self.failed.get(&gateway.name) != Some(&text) {
                        tracing::error!(gateway = %gateway.name, address = %gateway.address, "cannot listen: {text}");
                        self.failed.insert(Arc::clone(&gateway.name), text);
                    }
                }
            }
        }
    }

    fn listen(
        &self,
        gateway: &Arc<GatewayListener>,
        workers: &Workers,
        sockets: &mut Sockets,
        stop: &CancellationToken,
    ) -> std::io::Result<Kept> {
        let listeners = sockets.listen(&self.netns, gateway.address, workers.count())?;
        let mut kept = Kept::default();
        kept.listeners(&self.netns, &listeners)?;
        for (worker, listener) in workers.deal(listeners) {
            worker.serve_gateway(GatewaySockets {
                listener,
                gateway: Arc::clone(gateway),
                identity: self.identity.clone(),
                netns: self.netns.clone(),
                shutdown: stop.clone(),
            });
        }
        Ok(kept)
    }

    /// Second handles of all sockets that are open.
    pub(crate) fn passed(&self) -> std::io::Result<Vec<Passed>> {
        let mut all = Vec::new();
        for open in self.open.values() {
            all.extend(open.kept.again()?);
        }
        Ok(all)
    }
}
