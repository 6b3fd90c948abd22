//! Where a pod's network namespace is.
//!
//! In this order: what the CNI plugin has told; a file in the folder of namespaces; and, for pods that started before there was a plugin,
//! the processes of the pod.

use std::{
    net::IpAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use heddle_config::{PodConfig, PodName, PodUid, ProxyConfig};
use heddle_redirect::{Netns, NetnsId};

use crate::{
    arguments::Arguments,
    enrolment::Registrations,
    processes::{Found, Processes},
};

/// Between two looks through all processes.
const PAUSE: Duration = Duration::from_secs(1);

/// The network namespaces of the node's pods.
pub(crate) struct Namespaces {
    registrations: Registrations,
    folder: PathBuf,
    processes: Processes,
    /// What the processes told last, and when.
    found: Found,
    looked: Option<Instant>,
}

/// A pod's namespace.
pub(crate) struct Home {
    pub(crate) netns: Netns,
    /// The addresses that the pod was given, if that is known before the API server knows.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Namespaces {
    pub(crate) fn new(arguments: &Arguments, registrations: Registrations) -> anyhow::Result<Self> {
        Ok(Self {
            registrations,
            folder: arguments.netns_dir.clone(),
            processes: Processes::new(arguments.proc_dir.clone(), Netns::current()?.id()),
            found: Found::default(),
            looked: None,
        })
    }

    /// Before pods are looked for: what is gone is forgotten.
    pub(crate) fn refresh(&mut self, config: &ProxyConfig) {
        self.registrations.prune(config);
        let still = |uid: &PodUid| config.pods.values().any(|pod| pod.uid == *uid);
        self.found
            .retain(|uid, process| still(uid) && process.is_there());
    }

    /// A pod's namespace.
    ///
    /// # Errors
    /// It is nowhere (yet).
    pub(crate) fn find(&mut self, pod: &PodConfig) -> anyhow::Result<Home> {
        if let Some((netns, addresses)) = self.registrations.find(&pod.name, &pod.uid) {
            return Ok(Home { netns, addresses });
        }
        let alone = |netns| Home {
            netns,
            addresses: Vec::new(),
        };
        let file = match Netns::open(self.file(&pod.name)) {
            Ok(netns) => return Ok(alone(netns)),
            Err(error) => error,
        };
        // Its processes are ending.
        if self.has_left(&pod.name) {
            return Err(file).context("the pod's sandbox is gone");
        }
        // It has none yet.
        if pod.addresses.is_empty() {
            return Err(file).context("no sandbox yet");
        }
        if !self.found.contains_key(&pod.uid)
            && self.looked.is_none_or(|looked| looked.elapsed() > PAUSE)
        {
            self.found = self.processes.look();
            self.looked = Some(Instant::now());
        }
        match self.found.get(&pod.uid) {
            Some(process) => Ok(alone(process.netns.clone())),
            None => Err(file).context("no sandbox, no file and no process of the pod"),
        }
    }

    /// Whether a namespace that was found for a pod still is the pod's.
    pub(crate) fn is_still(&self, name: &PodName, uid: &PodUid, netns: NetnsId) -> bool {
        let registered = self.registrations.find(name, uid);
        let registered = registered.map(|(netns, _)| netns.id());
        let file = || Netns::open(self.file(name)).ok().map(|netns| netns.id());
        let process = || self.found.get(uid).map(|process| process.netns.id());
        registered.or_else(file).or_else(process) == Some(netns)
    }

    /// Whether the pod's sandbox went: it is on its way out, or waits for another one.
    pub(crate) fn has_left(&self, name: &PodName) -> bool {
        self.registrations.has_left(name)
    }

    fn file(&self, pod: &PodName) -> PathBuf {
        self.folder.join(format!("{}_{}", pod.namespace, pod.name))
    }
}
