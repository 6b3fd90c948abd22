//! Gateways, served on the node's own addresses.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use heddle_config::{GatewayListener, ProxyConfig};
use heddle_identity::SpiffeId;
use heddle_redirect::{Netns, socket};
use tokio_util::sync::CancellationToken;

use crate::worker::{GatewaySockets, Workers};

/// The Gateways' listeners that are open.
pub(crate) struct Gateways {
    identity: SpiffeId,
    netns: Netns,
    shutdown: CancellationToken,
    open: BTreeMap<Arc<str>, (SocketAddr, CancellationToken)>,
    failed: BTreeMap<Arc<str>, String>,
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
    pub(crate) fn look(&mut self, config: &ProxyConfig, workers: &Workers) {
        self.open.retain(|name, (address, stop)| {
            let stays = config
                .gateways
                .get(name)
                .is_some_and(|gateway| gateway.address == *address);
            if !stays {
                stop.cancel();
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
            match self.listen(gateway, workers, &stop) {
                Ok(()) => {
                    tracing::info!(gateway = %gateway.name, address = %gateway.address, "gateway open");
                    self.failed.remove(&gateway.name);
                    self.open
                        .insert(Arc::clone(&gateway.name), (gateway.address, stop));
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
        stop: &CancellationToken,
    ) -> std::io::Result<()> {
        for worker in workers.iter() {
            worker.serve_gateway(GatewaySockets {
                listener: socket::listen(&self.netns, gateway.address)?,
                gateway: Arc::clone(gateway),
                identity: self.identity.clone(),
                netns: self.netns.clone(),
                shutdown: stop.clone(),
            });
        }
        Ok(())
    }
}
