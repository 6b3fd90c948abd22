//! The tunnels that stand, for reuse by the same origin to the same peer.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    future::Future,
    hash::{Hash, Hasher},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use heddle_config::{PodUid, Workload};
use heddle_hbone::client::Tunnel;
use heddle_identity::SpiffeId;
use tokio::sync::Mutex;

use crate::{DialError, dial::Failure, origin::OriginKey};

/// Who is expected at an address. The uid is part of it: another pod that got the address of a former one is another peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Peer {
    identity: SpiffeId,
    uid: PodUid,
}

impl Peer {
    pub(crate) fn of(workload: &Workload) -> Self {
        Self {
            identity: workload.identity.clone(),
            uid: workload.uid.clone(),
        }
    }
}

impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // It is hashed for each request, and one uid has one identity.
        self.uid.hash(state);
    }
}

/// What a tunnel may be used for. Two keys are the same only if all of them is (the map compares them, not hashes).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct TunnelKey {
    pub(crate) origin: Arc<OriginKey>,
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
}

/// All tunnels of this worker.
#[derive(Default)]
pub(crate) struct Tunnels {
    slots: RefCell<HashMap<TunnelKey, Rc<Slot>>>,
    made: Cell<u64>,
}

/// The tunnels for one key.
#[derive(Default)]
struct Slot {
    tunnels: RefCell<Vec<Held>>,
    /// Held while a tunnel is being made, so that a storm of connections makes one and not hundreds. Inside: the last
    /// failure, which all who were waiting share.
    making: Mutex<Option<(Instant, Arc<DialError>)>>,
}

struct Held {
    tunnel: Tunnel,
    used: Instant,
}

impl Slot {
    /// One that takes another stream.
    fn ready(&self, now: Instant) -> Option<Tunnel> {
        let mut tunnels = self.tunnels.borrow_mut();
        tunnels.retain(|held| held.tunnel.is_usable());
        let held = tunnels.iter_mut().find(|held| held.tunnel.capacity() > 0)?;
        held.used = now;
        Some(held.tunnel.clone())
    }

    /// Closes those that had no stream for `idle`; tells whether the slot is of any further use.
    fn sweep(&self, now: Instant, idle: Duration) -> bool {
        let mut tunnels = self.tunnels.borrow_mut();
        tunnels.retain_mut(|held| {
            if held.tunnel.active() > 0 {
                held.used = now;
            }
            held.tunnel.is_usable() && now.saturating_duration_since(held.used) < idle
        });
        !tunnels.is_empty()
    }
}

impl Tunnels {
    /// A tunnel for this key that takes another stream; if there is none, the one that `make` makes.
    pub(crate) async fn checkout<F>(
        &self,
        key: &TunnelKey,
        make: impl FnOnce() -> F,
    ) -> Result<Tunnel, Failure>
    where
        F: Future<Output = Result<Tunnel, Failure>>,
    {
        let slot = self
            .slots
            .borrow_mut()
            .entry(key.clone())
            .or_default()
            .clone();
        let begun = Instant::now();
        if let Some(tunnel) = slot.ready(begun) {
            return Ok(tunnel);
        }
        let mut last_failure = slot.making.lock().await;
        if let Some(tunnel) = slot.ready(Instant::now()) {
            return Ok(tunnel);
        }
        if let Some((at, error)) = &*last_failure
            && *at >= begun
        {
            return Err(Failure::Endpoint(error.clone()));
        }
        match make().await {
            Ok(tunnel) => {
                *last_failure = None;
                self.made.set(self.made.get() + 1);
                slot.tunnels.borrow_mut().push(Held {
                    tunnel: tunnel.clone(),
                    used: Instant::now(),
                });
                Ok(tunnel)
            }
            Err(Failure::Endpoint(error)) => {
                *last_failure = Some((Instant::now(), error.clone()));
                Err(Failure::Endpoint(error))
            }
            Err(other) => Err(other),
        }
    }

    /// Closes tunnels that had no stream for `idle`.
    pub(crate) fn sweep(&self, now: Instant, idle: Duration) {
        self.slots
            .borrow_mut()
            .retain(|_, slot| slot.sweep(now, idle) || Rc::strong_count(slot) > 1);
    }

    /// Forgets the tunnels of a pod; streams that are open in them go on.
    pub(crate) fn forget(&self, pod: &PodUid) {
        self.slots
            .borrow_mut()
            .retain(|key, _| !key.origin.is_pod(pod));
    }

    /// How many were made so far.
    pub(crate) fn made(&self) -> u64 {
        self.made.get()
    }

    /// How many stand.
    pub(crate) fn standing(&self) -> usize {
        let slots = self.slots.borrow();
        slots.values().map(|slot| slot.tunnels.borrow().len()).sum()
    }
}
