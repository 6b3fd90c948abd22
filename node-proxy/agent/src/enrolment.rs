//! Sandboxes that the CNI plugin has told of: which network namespace is whose, and how each stands.
//!
//! Nothing is done to a pod here: the keeper looks at what is registered as it looks at the configuration, and publishes how each
//! sandbox stands; whoever waits for one sees it there. What is registered outlives the process in a file, so that a restart finds all
//! pods; a file that is lost is no harm (see [`crate::namespaces`]).

mod server;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::{Context, bail};
use heddle_cni::protocol::{Answer, Attachment};
use heddle_config::{PodName, PodUid, ProxyConfig, Tunnel, Workload};
use heddle_redirect::{Netns, NetnsId};
use tokio::sync::watch;

pub(crate) use server::Server;

/// How each sandbox stands, by its container id.
pub(crate) type Standing = BTreeMap<String, Answer>;

/// All sandboxes that are registered. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Registrations(Arc<Inner>);

struct Inner {
    /// The node's own namespace, which is no pod's.
    own: NetnsId,
    held: Mutex<Held>,
    /// Counts what changed, for the keeper.
    changed: watch::Sender<u64>,
    standing: watch::Sender<Standing>,
}

#[derive(Default)]
struct Held {
    /// In the order in which they came.
    sandboxes: Vec<Sandbox>,
    /// Pods whose sandbox went and that have no other: nobody needs to look for their namespace.
    left: BTreeSet<(String, String)>,
    /// Where the list is kept; `None`: nowhere.
    file: Option<PathBuf>,
}

/// A sandbox with its namespace, which stays as long as this is held.
struct Sandbox {
    attachment: Attachment,
    netns: Netns,
}

impl Sandbox {
    fn is_of(&self, name: &PodName, uid: &PodUid) -> bool {
        let told = &self.attachment;
        let same_uid = told.uid.as_deref().is_none_or(|told| *told == *uid.0);
        same_uid && told.pod == *name.name && told.namespace == name.namespace.as_str()
    }
}

impl Registrations {
    /// None yet, kept nowhere.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Inner {
            own: Netns::current()?.id(),
            held: Mutex::default(),
            changed: watch::Sender::new(0),
            standing: watch::Sender::default(),
        })))
    }

    /// Takes over what a former run has kept in the file, as far as it is still there, and keeps all further ones in it.
    pub(crate) fn keep_in(&self, file: PathBuf) {
        let kept = match load(&file) {
            Ok(kept) => kept,
            Err(error) => {
                tracing::warn!(file = %file.display(), "registrations of pods are lost: {error:#}");
                Vec::new()
            }
        };
        let mut held = self.held();
        for attachment in kept {
            let Ok(netns) = self.open(&attachment.netns) else {
                continue;
            };
            let known = held.sandboxes.iter();
            if !known.into_iter().any(|known| known.netns == netns) {
                held.sandboxes.push(Sandbox { attachment, netns });
            }
        }
        held.file = Some(file);
        drop(held);
        self.wake();
    }

    /// Takes a sandbox in; again is no harm.
    ///
    /// # Errors
    /// The namespace is none, or the node's own.
    pub(crate) fn add(&self, attachment: Attachment) -> anyhow::Result<()> {
        let netns = self.open(&attachment.netns)?;
        let mut held = self.held();
        let Held {
            sandboxes, left, ..
        } = &mut *held;
        let same = |known: &Sandbox| known.attachment == attachment && known.netns == netns;
        if sandboxes.iter().any(same) {
            return Ok(());
        }
        // One sandbox for a container, and one for a namespace: a former one of either is gone.
        sandboxes.retain(|known| {
            known.attachment.container != attachment.container && known.netns != netns
        });
        left.remove(&(attachment.namespace.clone(), attachment.pod.clone()));
        self.forget_standing(&attachment.container);
        sandboxes.push(Sandbox { attachment, netns });
        held.save();
        drop(held);
        self.wake();
        Ok(())
    }

    /// Forgets a sandbox.
    pub(crate) fn remove(&self, container: &str) {
        self.retain(|attachment| attachment.container != container);
    }

    /// Forgets all sandboxes but these.
    pub(crate) fn keep_only(&self, containers: &BTreeSet<String>) {
        self.retain(|attachment| containers.contains(&attachment.container));
    }

    fn retain(&self, stays: impl Fn(&Attachment) -> bool) {
        let mut held = self.held();
        let (stay, go): (Vec<_>, _) = std::mem::take(&mut held.sandboxes)
            .into_iter()
            .partition(|sandbox| stays(&sandbox.attachment));
        held.sandboxes = stay;
        if go.is_empty() {
            return;
        }
        for Sandbox { attachment, .. } in go {
            self.forget_standing(&attachment.container);
            let of = |known: &Sandbox| {
                known.attachment.namespace == attachment.namespace
                    && known.attachment.pod == attachment.pod
            };
            if !held.sandboxes.iter().any(of) {
                held.left.insert((attachment.namespace, attachment.pod));
            }
        }
        held.save();
        drop(held);
        self.wake();
    }

    /// Forgets sandboxes that are gone without a word, and pods that nobody speaks of any more.
    pub(crate) fn prune(&self, config: &ProxyConfig) {
        self.retain_open();
        let mut held = self.held();
        held.left.retain(|(namespace, name)| {
            let mut pods = config.pods.keys();
            pods.any(|pod| pod.namespace.as_str() == namespace && *pod.name == **name)
        });
    }

    /// Not written to the file: what is in there and gone is not taken over from it either.
    fn retain_open(&self) {
        self.held().sandboxes.retain(|sandbox| {
            let there = Netns::open(&sandbox.attachment.netns);
            there.is_ok_and(|there| there == sandbox.netns)
        });
    }

    /// The namespace of a pod, and the addresses that it was given; the latest sandbox counts.
    pub(crate) fn find(&self, name: &PodName, uid: &PodUid) -> Option<(Netns, Vec<IpAddr>)> {
        let held = self.held();
        let mut latest = held.sandboxes.iter().rev();
        let sandbox = latest.find(|sandbox| sandbox.is_of(name, uid))?;
        Some((sandbox.netns.clone(), sandbox.attachment.addresses.clone()))
    }

    /// Whether the pod's sandbox went, and no other has come.
    pub(crate) fn has_left(&self, name: &PodName) -> bool {
        let of = (name.namespace.to_string(), name.name.to_string());
        self.held().left.contains(&of)
    }

    /// Says how each sandbox stands. `captured`: whether the pod's capture stands in this very namespace, or why not.
    pub(crate) fn publish(
        &self,
        config: &ProxyConfig,
        captured: impl Fn(&PodName, NetnsId) -> Result<(), String>,
    ) {
        let held = self.held();
        let standing = held.sandboxes.iter().map(|sandbox| {
            let answer = stands(sandbox, config, &captured);
            (sandbox.attachment.container.clone(), answer)
        });
        let standing: Standing = standing.collect();
        self.0.standing.send_if_modified(|known| {
            let changes = *known != standing;
            *known = standing;
            changes
        });
    }

    /// How each sandbox stands, as last looked at.
    pub(crate) fn standing(&self) -> watch::Receiver<Standing> {
        self.0.standing.subscribe()
    }

    /// Tells of changes that the keeper should look at.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// How a former sandbox of that id stood says nothing of the next. Called with `held` locked, as is [`publish`](Self::publish).
    fn forget_standing(&self, container: &str) {
        let standing = &self.0.standing;
        standing.send_if_modified(|known| known.remove(container).is_some());
    }

    fn wake(&self) {
        self.0.changed.send_modify(|count| *count += 1);
    }

    fn open(&self, path: &Path) -> anyhow::Result<Netns> {
        let netns = Netns::open(path)?;
        if netns.id() == self.0.own {
            bail!("{} is the node's own network namespace", path.display());
        }
        Ok(netns)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // A panic leaves a list of which each entry is whole.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a sandbox stands.
fn stands(
    sandbox: &Sandbox,
    config: &ProxyConfig,
    captured: impl Fn(&PodName, NetnsId) -> Result<(), String>,
) -> Answer {
    let mut pods = config.pods.values();
    if let Some(pod) = pods.find(|pod| sandbox.is_of(&pod.name, &pod.uid)) {
        return match captured(&pod.name, sandbox.netns.id()) {
            Ok(()) => Answer::Captured,
            Err(why) => Answer::Waiting { why },
        };
    }
    match workload(sandbox, config).map(|workload| workload.tunnel) {
        Some(Tunnel::None) => Answer::Outside,
        Some(Tunnel::Hbone) => Answer::Waiting {
            why: "it is in the mesh, and its configuration has not come yet".to_owned(),
        },
        None => Answer::Unknown,
    }
}

fn workload<'a>(sandbox: &Sandbox, config: &'a ProxyConfig) -> Option<&'a Workload> {
    let Attachment { namespace, pod, .. } = &sandbox.attachment;
    let workload = config
        .workloads
        .by_name
        .get(format!("{namespace}/{pod}").as_str())?;
    sandbox
        .is_of(&workload.name, &workload.uid)
        .then_some(&**workload)
}

impl Held {
    /// A file that cannot be written costs a look through all processes after the next start.
    fn save(&self) {
        let Some(file) = &self.file else { return };
        let list: Vec<_> = self
            .sandboxes
            .iter()
            .map(|sandbox| &sandbox.attachment)
            .collect();
        if let Err(error) = write(file, &list) {
            tracing::warn!(%error, file = %file.display(), "registrations of pods were not written");
        }
    }
}

fn write(file: &Path, list: &[&Attachment]) -> io::Result<()> {
    let new = file.with_extension("json.new");
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    serde_json::to_writer(options.open(&new)?, list)?;
    fs::rename(&new, file)
}

fn load(file: &Path) -> anyhow::Result<Vec<Attachment>> {
    match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).context("not understood"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
