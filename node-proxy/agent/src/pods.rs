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
    dns, packets,
    worker::{PodSockets, Workers},
};

/// The node's pods, and what was done for each.
pub(crate) struct Pods {
    arguments: Arguments,
    config: SharedConfig,
    shutdown: CancellationToken,
    captured: BTreeMap<PodName, Captured>,
    failed: BTreeMap<PodName, String>,
}

/// A pod whose traffic comes to us.
struct Captured {
    uid: PodUid,
    netns: Netns,
    rules: CaptureRules,
    packets: String,
    stop: CancellationToken,
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
            captured: BTreeMap::new(),
            failed: BTreeMap::new(),
        }
    }

    /// Compares what is with what should be. Blocks for some milliseconds for each pod that changed.
    pub(crate) fn look(&mut self, config: &ProxyConfig, workers: &Workers) {
        self.release(config);
        let node_addresses = self.node_addresses(config);
        let services = packets::services(config, &self.arguments.cluster_domain);
        for pod in config.pods.values() {
            match self.keep(config, pod, &node_addresses, &services, workers) {
                Ok(()) => {
                    self.failed.remove(&pod.name);
                }
                Err(error) => {
                    let text = format!("{error:#}");
                    if self.failed.get(&pod.name) != Some(&text) {
                        tracing::error!(pod = %pod.name, "not captured: {text}");
                        self.failed.insert(pod.name.clone(), text);
                    }
                }
            }
        }
        self.failed.retain(|name, _| config.pods.contains_key(name));
    }

    /// Each pod, and whether it is captured (or why not).
    pub(crate) fn states(&self) -> BTreeMap<String, String> {
        let captured = self
            .captured
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
        let gone = self.captured.iter().filter(|(name, captured)| {
            config
                .pods
                .get(*name)
                .is_none_or(|pod| pod.uid != captured.uid)
        });
        for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let Some(captured) = self.captured.remove(&name) else {
                continue;
            };
            captured.stop.cancel();
            // The namespace may be gone with the pod; then there is nothing to restore.
            if self.id(&name) == Some(captured.netns.id()) {
                for removed in [
                    capture::remove(&captured.netns),
                    packet_rules::remove(&captured.netns),
                ] {
                    if let Err(error) = removed {
                        tracing::warn!(pod = %name, %error, "rules were left behind");
                    }
                }
            }
            tracing::info!(pod = %name, "released");
        }
    }

    fn id(&self, pod: &PodName) -> Option<NetnsId> {
        Netns::open(self.path(pod)).ok().map(|netns| netns.id())
    }

    fn keep(
        &mut self,
        config: &ProxyConfig,
        pod: &PodConfig,
        node_addresses: &[IpAddr],
        services: &[ServiceAddress],
        workers: &Workers,
    ) -> anyhow::Result<()> {
        let netns = Netns::open(self.path(&pod.name)).context("network namespace")?;
        let stale = self
            .captured
            .get(&pod.name)
            .is_some_and(|known| known.netns.id() != netns.id());
        if stale && let Some(old) = self.captured.remove(&pod.name) {
            // The pod's sandbox was made anew under the same name.
            old.stop.cancel();
        }
        let rules = CaptureRules {
            node_addresses: node_addresses.to_vec(),
            ..CaptureRules::default()
        };
        let packets = packets::wanted(config, pod, node_addresses, services);
        let text = packets.to_string();
        if let Some(known) = self.captured.get_mut(&pod.name) {
            if known.packets != text {
                packet_rules::install(&known.netns, &packets)?;
                known.packets = text;
            }
            if known.rules != rules {
                capture::install(&known.netns, &rules)?;
                known.rules = rules;
            }
            return Ok(());
        }
        let stop = self.shutdown.child_token();
        // The listeners first: a captured connection must find somebody.
        self.listen(pod, &netns, workers, &stop)
            .context("listening in the pod")?;
        packet_rules::install(&netns, &packets)?;
        capture::install(&netns, &rules)?;
        for problem in packets.problems() {
            tracing::warn!(pod = %pod.name, "packet rules: {problem}");
        }
        tracing::info!(pod = %pod.name, identity = %pod.identity, "captured");
        let uid = pod.uid.clone();
        self.captured.insert(
            pod.name.clone(),
            Captured {
                uid,
                netns,
                rules,
                packets: text,
                stop,
            },
        );
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
        for worker in workers.iter() {
            for any in families(pod) {
                let listen = |port| socket::listen(netns, SocketAddr::new(any, port));
                worker.serve_pod(PodSockets {
                    pod: context.clone(),
                    outbound: listen(15001)?,
                    inbound: listen(15006)?,
                    mtls: listen(15008)?,
                    shutdown: stop.clone(),
                });
            }
        }
        dns::start(&self.arguments, &self.config, &pod.name, netns, stop)
    }
}

/// The unspecified address of each family that the pod has.
fn families(pod: &PodConfig) -> impl Iterator<Item = IpAddr> {
    let has_v6 = pod.addresses.iter().any(IpAddr::is_ipv6);
    let v4 = IpAddr::from([0_u8; 4]);
    let v6 = has_v6.then(|| IpAddr::from([0_u8; 16]));
    [v4].into_iter().chain(v6)
}
