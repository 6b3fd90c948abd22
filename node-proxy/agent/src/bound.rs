//! Listeners on the node's own addresses: Gateways', and those of other control planes.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use heddle_config::{BoundListener, ProxyConfig};
use heddle_identity::SpiffeId;
use heddle_redirect::{Netns, handover::Passed};
use tokio_util::sync::CancellationToken;

use crate::{
    sockets::{Kept, Sockets},
    worker::{BoundSockets, Workers},
};

/// The listeners that are open.
pub(crate) struct BoundListeners {
    identity: SpiffeId,
    netns: Netns,
    shutdown: CancellationToken,
    open: BTreeMap<Arc<str>, Open>,
    failed: BTreeMap<Arc<str>, String>,
}

/// A listener that is open.
struct Open {
    address: SocketAddr,
    stop: CancellationToken,
    kept: Kept,
}

impl BoundListeners {
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
                .bound
                .get(name)
                .is_some_and(|bound| bound.address == open.address);
            if !stays {
                open.stop.cancel();
            }
            stays
        });
        self.failed
            .retain(|name, _| config.bound.contains_key(name));
        for bound in config.bound.values() {
            if self.open.contains_key(&bound.name) {
                continue;
            }
            let stop = self.shutdown.child_token();
            match self.listen(bound, workers, sockets, &stop) {
                Ok(kept) => {
                    tracing::info!(listener = %bound.name, address = %bound.address, "listener open");
                    self.failed.remove(&bound.name);
                    let address = bound.address;
                    let open = Open {
                        address,
                        stop,
                        kept,
                    };
                    self.open.insert(Arc::clone(&bound.name), open);
                }
                Err(error) => {
                    stop.cancel();
                    let text = error.to_string();
                    if self.failed.get(&bound.name) != Some(&text) {
                        tracing::error!(listener = %bound.name, address = %bound.address, "cannot listen: {text}");
                        self.failed.insert(Arc::clone(&bound.name), text);
                    }
                }
            }
        }
    }

    fn listen(
        &self,
        bound: &Arc<BoundListener>,
        workers: &Workers,
        sockets: &mut Sockets,
        stop: &CancellationToken,
    ) -> std::io::Result<Kept> {
        let listeners = sockets.listen(&self.netns, bound.address, workers.count())?;
        let mut kept = Kept::default();
        kept.listeners(&self.netns, &listeners)?;
        for (worker, listener) in workers.deal(listeners) {
            worker.serve_bound(BoundSockets {
                listener,
                bound: Arc::clone(bound),
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
