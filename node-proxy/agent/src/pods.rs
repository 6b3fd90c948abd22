//! The pods of this node: capture what should be captured, leave what should not.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::Context;
use heddle_config::{PodConfig, PodName, PodUid, ProxyConfig, SharedConfig};
use heddle_listeners::PodContext;
use heddle_redirect::{
    Netns, NetnsId,
    capture::{self, CaptureRules},
    packets::{self as packet_rules, ServiceAddress},
    socket,
};
use tokio_util::sync::CancellationToken;

use crate::{
    arguments::Arguments,
    dns::NameServer,
    packets,
    worker::{PodSockets, Workers},
};

/// The node's pods, and what was done for each.
pub(crate) struct Pods {
    arguments: Arguments,
    config: SharedConfig,
    shutdown: CancellationToken,
    entered: BTreeMap<PodName, Entered>,
    failed: BTreeMap<PodName, String>,
}

/// A pod in whose namespace we listen.
struct Entered {
    uid: PodUid,
    netns: Netns,
    stop: CancellationToken,
    /// Packet rules that are installed; `None`: those of a former run, if any.
    packets: Option<String>,
    /// Capture rules that are installed, likewise.
    capture: Option<CaptureRules>,
    /// The revision of the configuration that both follow.
    follows: Option<u64>,
}

/// What the rules of all pods have in common.
struct Common {
    revision: u64,
    node_addresses: Vec<IpAddr>,
    services: Vec<ServiceAddress>,
}

impl Pods {
    pub(crate) fn new(
        arguments: &Arguments,
        config: SharedConfig,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            arguments: arguments.clone(),
            config,
            shutdown,
            entered: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Compares what is with what should be. Blocks for some milliseconds for each pod whose rules are not those of this
    /// revision; costs next to nothing for the others.
    pub(crate) fn look(&mut self, config: &ProxyConfig, revision: u64, workers: &Workers) {
        self.release(config);
        let mut failed = BTreeMap::new();
        // The listeners of all pods before the rules of any: after a restart the rules of the former run still stand, and
        // connections need no more than somebody who takes them.
        for pod in config.pods.values() {
            if let Err(error) = self.enter(pod, workers) {
                failed.insert(pod.name.clone(), format!("{error:#}"));
            }
        }
        if self.entered.values().any(|p| p.follows != Some(revision)) {
            let common = Common {
                revision,
                node_addresses: self.node_addresses(config),
                services: packets::services(config, &self.arguments.cluster_domain),
            };
            for pod in config.pods.values() {
                let Some(entered) = self.entered.get_mut(&pod.name) else {
                    continue;
                };
                if let Err(error) = entered.follow(config, pod, &common) {
                    failed.insert(pod.name.clone(), format!("{error:#}"));
                }
            }
        }
        for (pod, why) in &failed {
            if self.failed.get(pod) != Some(why) {
                tracing::error!(%pod, "not captured: {why}");
            }
        }
        self.failed = failed;
    }

    /// Each pod, and whether it is captured (or why not).
    pub(crate) fn states(&self) -> BTreeMap<String, String> {
        let captured = self
            .entered
            .keys()
            .map(|name| (name.to_string(), "captured".to_owned()));
        let failed = self
            .failed
            .iter()
            .map(|(name, why)| (name.to_string(), why.clone()));
        captured.chain(failed).collect()
    }

    fn path(&self, pod: &PodName) -> PathBuf {
        self.arguments
            .netns_dir
            .join(format!("{}_{}", pod.namespace, pod.name))
    }

    fn node_addresses(&self, config: &ProxyConfig) -> Vec<IpAddr> {
        let told = config.workloads.nodes.get(self.arguments.node.as_str());
        let told = told.map(|node| node.addresses.clone()).unwrap_or_default();
        let mut all = [told, self.arguments.node_address.clone()].concat();
        all.sort();
        all.dedup();
        all
    }

    /// Leaves pods that are not ours any more, or that are others of the same name.
    fn release(&mut self, config: &ProxyConfig) {
        let gone = self.entered.iter().filter(|(name, entered)| {
            let known = config.pods.get(*name);
            known.is_none_or(|pod| pod.uid != entered.uid)
        });
        for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let Some(entered) = self.entered.remove(&name) else {
                continue;
            };
            // The namespace may be gone with the pod; then there is nothing to restore.
            if self.id(&name) == Some(entered.netns.id()) {
                for removed in [
                    capture::remove(&entered.netns),
                    packet_rules::remove(&entered.netns),
                ] {
                    if let Err(error) = removed {
                        tracing::warn!(pod = %name, %error, "rules were left behind");
                    }
                }
            }
            // Now, when nothing new comes here any more.
            entered.stop.cancel();
            tracing::info!(pod = %name, "released");
        }
    }

    fn id(&self, pod: &PodName) -> Option<NetnsId> {
        Netns::open(self.path(pod)).ok().map(|netns| netns.id())
    }

    /// Listens in a pod's namespace, unless we do already.
    fn enter(&mut self, pod: &PodConfig, workers: &Workers) -> anyhow::Result<()> {
        let netns = Netns::open(self.path(&pod.name)).context("network namespace")?;
        if let Some(known) = self.entered.get(&pod.name) {
            if known.netns.id() == netns.id() {
                return Ok(());
            }
            // The pod's sandbox was made anew under the same name.
            known.stop.cancel();
            self.entered.remove(&pod.name);
        }
        let stop = self.shutdown.child_token();
        if let Err(error) = self.listen(pod, &netns, workers, &stop) {
            stop.cancel();
            return Err(error).context("listening in the pod");
        }
        let entered = Entered {
            uid: pod.uid.clone(),
            netns,
            stop,
            packets: None,
            capture: None,
            follows: None,
        };
        self.entered.insert(pod.name.clone(), entered);
        Ok(())
    }

    fn listen(
        &self,
        pod: &PodConfig,
        netns: &Netns,
        workers: &Workers,
        stop: &CancellationToken,
    ) -> io::Result<()> {
        let context = PodContext::new(
            pod.name.clone(),
            pod.uid.clone(),
            netns.clone(),
            workers.settings(),
        );
        let mut opened = Vec::new();
        for worker in workers.iter() {
            for any in families(pod) {
                let listen = |port| socket::listen(netns, SocketAddr::new(any, port));
                let sockets = PodSockets {
                    pod: context.clone(),
                    outbound: listen(15001)?,
                    inbound: listen(15006)?,
                    mtls: listen(15008)?,
                    shutdown: stop.clone(),
                };
                opened.push((worker, sockets));
            }
        }
        let name_server = NameServer::open(netns)?;
        // All of them are there: nobody is left with half of the ports, whatever else is tried again.
        for (worker, sockets) in opened {
            worker.serve_pod(sockets);
        }
        name_server.serve(&self.arguments, &self.config, &pod.name, netns, stop)
    }
}

impl Entered {
    /// Brings the pod's rules to this revision.
    fn follow(
        &mut self,
        config: &ProxyConfig,
        pod: &PodConfig,
        common: &Common,
    ) -> anyhow::Result<()> {
        if self.follows == Some(common.revision) {
            return Ok(());
        }
        let packets = packets::wanted(config, pod, &common.node_addresses, &common.services);
        let text = packets.to_string();
        if self.packets.as_ref() != Some(&text) {
            packet_rules::install(&self.netns, &packets)?;
            self.packets = Some(text);
            for problem in packets.problems() {
                tracing::warn!(pod = %pod.name, "packet rules: {problem}");
            }
        }
        let rules = CaptureRules {
            node_addresses: common.node_addresses.clone(),
            ..CaptureRules::default()
        };
        if self.capture.as_ref() != Some(&rules) {
            capture::install(&self.netns, &rules)?;
            if self.capture.replace(rules).is_none() {
                tracing::info!(pod = %pod.name, identity = %pod.identity, "captured");
            }
        }
        self.follows = Some(common.revision);
        Ok(())
    }
}

/// The unspecified address of each family that the pod has.
fn families(pod: &PodConfig) -> impl Iterator<Item = IpAddr> {
    let has_v6 = pod.addresses.iter().any(IpAddr::is_ipv6);
    let v4 = IpAddr::from([0_u8; 4]);
    let v6 = has_v6.then(|| IpAddr::from([0_u8; 16]));
    [v4].into_iter().chain(v6)
}
