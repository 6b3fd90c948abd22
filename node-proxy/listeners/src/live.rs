//! The open connections of a worker, and whether they are still allowed.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    rc::{Rc, Weak},
};

use heddle_config::ProxyConfig;
use heddle_filters::Failure;
use tokio_util::sync::CancellationToken;

/// Judges one connection by a configuration.
pub(crate) type Judge = Rc<dyn Fn(&ProxyConfig) -> Result<(), Failure>>;

/// The open connections of a worker.
#[derive(Clone, Default)]
pub(crate) struct Live(Rc<RefCell<Registry>>);

#[derive(Default)]
struct Registry {
    next: u64,
    entries: BTreeMap<u64, Entry>,
}

struct Entry {
    judge: Judge,
    verdict: Rc<Verdict>,
}

#[derive(Default)]
struct Verdict {
    revoked: CancellationToken,
    why: RefCell<Option<Failure>>,
}

/// An open connection; dropping it ends the watch.
pub(crate) struct LiveConnection {
    id: u64,
    registry: Weak<RefCell<Registry>>,
    judge: Judge,
    verdict: Rc<Verdict>,
}

impl Live {
    /// Judges a new connection by `config` and keeps watching it. Both in one step: no configuration can come in between.
    pub(crate) fn admit(
        &self,
        config: &ProxyConfig,
        judge: Judge,
    ) -> Result<LiveConnection, Failure> {
        judge(config)?;
        Ok(self.watch(judge))
    }

    fn watch(&self, judge: Judge) -> LiveConnection {
        let verdict = Rc::new(Verdict::default());
        let mut registry = self.0.borrow_mut();
        let id = registry.next;
        registry.next += 1;
        registry.entries.insert(
            id,
            Entry {
                judge: Rc::clone(&judge),
                verdict: Rc::clone(&verdict),
            },
        );
        LiveConnection {
            id,
            registry: Rc::downgrade(&self.0),
            judge,
            verdict,
        }
    }

    /// Judges all by a new configuration and revokes those that it refuses. Says how many.
    pub(crate) fn judge_again(&self, config: &ProxyConfig) -> usize {
        let mut revoked = 0;
        for entry in self.0.borrow().entries.values() {
            if entry.verdict.revoked.is_cancelled() {
                continue;
            }
            if let Err(failure) = (entry.judge)(config) {
                entry.verdict.why.replace(Some(failure));
                entry.verdict.revoked.cancel();
                revoked += 1;
            }
        }
        revoked
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.borrow().entries.len()
    }
}

impl LiveConnection {
    /// Waits until the connection is no longer allowed.
    pub(crate) async fn revoked(&self) -> Failure {
        self.verdict.revoked.cancelled().await;
        let why = self.verdict.why.borrow().clone();
        why.unwrap_or_else(|| {
            Failure::new(
                heddle_telemetry::ResponseFlag::PolicyChanged,
                "no longer allowed",
            )
        })
    }

    /// A second watch of the same connection, for a task that outlives this one.
    pub(crate) fn again(&self) -> Option<Self> {
        let live = Live(self.registry.upgrade()?);
        Some(live.watch(Rc::clone(&self.judge)))
    }
}

/// As [`LiveConnection::revoked`]; never, if nobody watches.
pub(crate) async fn revoked(live: Option<&LiveConnection>) -> Failure {
    match live {
        Some(live) => live.revoked().await,
        None => std::future::pending().await,
    }
}

impl Drop for LiveConnection {
    fn drop(&mut self) {
        if let Some(registry) = self.registry.upgrade() {
            registry.borrow_mut().entries.remove(&self.id);
        }
    }
}
