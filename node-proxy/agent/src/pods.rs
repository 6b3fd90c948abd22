//! The pods of this node: capture what should be captured, leave what should not.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use heddle_config::{PodConfig, PodName, PodUid, ProxyConfig, SharedConfig};
use heddle_listeners::PodContext;
use heddle_redirect::{
    Netns, NetnsId,
    capture::{self, CaptureRules},
    handover::Passed,
    packets::{self as packet_rules, ServiceAddress},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    addresses::OwnAddresses,
    arguments::Arguments,
    dns::NameServer,
    enrolment::Registrations,
    kubernetes::Wanted,
    namespaces::{Home, Namespaces},
    packets,
    sockets::{Kept, Sockets},
    worker::{PodSocket, Port, Workers},
};

/// The node's pods, and what was done for each.
pub(crate) struct Pods {
    arguments: Arguments,
    config: SharedConfig,
    shutdown: CancellationToken,
    /// Name servers that have not ended.
    queries: TaskTracker,
    namespaces: Namespaces,
    own_addresses: OwnAddresses,
    entered: BTreeMap<PodName, Entered>,
    /// Why the others are not.
    open: BTreeMap<PodName, State>,
    /// Pods that have left the mesh, and what their open connections still need.
    left: Vec<Left>,
}

/// A pod that has left the mesh, and goes on.
struct Left {
    name: PodName,
    netns: Netns,
    /// Until then connections that were open may go on.
    until: Instant,
}

/// What became of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Its capture stands.
    Captured,
    /// It has no network namespace (any more), and is not known to run.
    Waiting(String),
    /// It runs, and its capture does not stand.
    Failed(String),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Captured => f.write_str("captured"),
            Self::Waiting(why) => write!(f, "waiting: {why}"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// A pod in whose namespace we listen.
struct Entered {
    uid: PodUid,
    netns: Netns,
    /// The addresses that it was given, if we were told.
    given: Vec<IpAddr>,
    stop: CancellationToken,
    /// The sockets that we listen on.
    kept: Kept,
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
        registrations: &Registrations,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            namespaces: Namespaces::new(arguments, registrations.clone())?,
            arguments: arguments.clone(),
            config,
            shutdown,
            queries: TaskTracker::new(),
            own_addresses: OwnAddresses::default(),
            entered: BTreeMap::new(),
            open: BTreeMap::new(),
            left: Vec::new(),
        })
    }

    /// Compares what is with what should be. Blocks for some milliseconds for each pod whose rules are not those of this
    /// revision; costs next to nothing for the others.
    pub(crate) fn look(
        &mut self,
        config: &ProxyConfig,
        revision: u64,
        workers: &Workers,
        sockets: &mut Sockets,
    ) {
        self.namespaces.refresh(config);
        self.release(config);
        let mut open = BTreeMap::new();
        // The listeners of all pods before the rules of any: after a restart the rules of the former run still stand, and
        // connections need no more than somebody who takes them.
        for pod in config.pods.values() {
            if let Err(state) = self.enter(pod, workers, sockets) {
                open.insert(pod.name.clone(), state);
            }
        }
        if self.own_addresses.refresh() {
            for entered in self.entered.values_mut() {
                entered.follows = None;
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
                    open.insert(pod.name.clone(), State::Failed(format!("{error:#}")));
                }
            }
        }
        for (pod, state) in &open {
            if self.open.get(pod) == Some(state) {
                continue;
            }
            match state {
                State::Failed(why) => tracing::error!(%pod, "not captured: {why}"),
                other => tracing::debug!(%pod, "{other}"),
            }
        }
        self.open = open;
    }

    /// Each pod, and whether it is captured (or why not).
    pub(crate) fn states(&self) -> BTreeMap<String, State> {
        let captured = self.entered.keys();
        let captured = captured.map(|name| (name.to_string(), State::Captured));
        let open = self.open.iter();
        let open = open.map(|(name, state)| (name.to_string(), state.clone()));
        captured.chain(open).collect()
    }

    /// What each pod's condition should say.
    pub(crate) fn conditions(&self, config: &ProxyConfig) -> Wanted {
        let of = |pod: &PodConfig| {
            let state = match self.open.get(&pod.name) {
                Some(state) => state.clone(),
                None if self.entered.contains_key(&pod.name) => State::Captured,
                None => return None,
            };
            Some(((pod.name.clone(), pod.uid.clone()), state))
        };
        config.pods.values().filter_map(|pod| of(pod)).collect()
    }

    /// Second handles of all sockets that are open.
    pub(crate) fn passed(&self) -> io::Result<Vec<Passed>> {
        let mut all = Vec::new();
        for entered in self.entered.values() {
            all.extend(entered.kept.again()?);
        }
        Ok(all)
    }

    /// What the name servers of all pods still have to finish once they are told to end.
    pub(crate) fn queries(&self) -> TaskTracker {
        self.queries.clone()
    }

    /// Somebody else may have changed the rules of all pods.
    pub(crate) fn distrust(&mut self) {
        for entered in self.entered.values_mut() {
            (entered.packets, entered.capture, entered.follows) = (None, None, None);
        }
    }

    /// Captures nothing any more: the mesh leaves this node. What is open goes on until the rest of the rules is removed.
    pub(crate) fn release_all(&self) -> Released {
        for (name, entered) in &self.entered {
            release(name, &entered.netns);
        }
        let each = self.entered.iter();
        let each = each.map(|(name, entered)| (name.clone(), entered.netns.clone()));
        Released(each.chain(self.released().0).collect())
    }

    /// The pods that have left the mesh, and still have what their connections need.
    pub(crate) fn released(&self) -> Released {
        let left = self.left.iter();
        let left = left.map(|left| (left.name.clone(), left.netns.clone()));
        Released(left.collect())
    }

    /// Whether a pod's capture stands in this very namespace.
    ///
    /// # Errors
    /// It does not; why.
    pub(crate) fn captured(&self, pod: &PodName, netns: NetnsId) -> Result<(), String> {
        if let Some(state) = self.open.get(pod) {
            return Err(state.to_string());
        }
        match self.entered.get(pod) {
            Some(entered) if entered.netns.id() == netns && entered.follows.is_some() => Ok(()),
            _ => Err("its capture is being installed".to_owned()),
        }
    }

    fn node_addresses(&self, config: &ProxyConfig) -> Vec<IpAddr> {
        let told = config.workloads.nodes.get(self.arguments.node.as_str());
        let told = told.map(|node| node.addresses.clone()).unwrap_or_default();
        let own = self.own_addresses.known();
        let mut all = [&told, own, &self.arguments.node_address].concat();
        all.sort();
        all.dedup();
        all
    }

    /// Takes away what the connections of pods that have left needed.
    fn tidy(&mut self) {
        let now = Instant::now();
        let over = |left: &mut Left| left.until <= now;
        for left in self.left.extract_if(.., over) {
            // It may have come back meanwhile.
            let mut entered = self.entered.values();
            if !entered.any(|entered| entered.netns == left.netns) {
                restore(&left.name, &left.netns);
            }
        }
    }

    /// Leaves pods that are not ours any more, or that are others of the same name.
    fn release(&mut self, config: &ProxyConfig) {
        self.tidy();
        let gone = self.entered.iter().filter(|(name, entered)| {
            let known = config.pods.get(*name);
            known.is_none_or(|pod| pod.uid != entered.uid)
        });
        for name in gone.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            let Some(entered) = self.entered.remove(&name) else {
                continue;
            };
            // The namespace may be gone with the pod; then there is nothing to restore.
            let netns = entered.netns.id();
            if self.namespaces.is_still(&name, &entered.uid, netns) {
                release(&name, &entered.netns);
                self.left.push(Left {
                    name: name.clone(),
                    netns: entered.netns.clone(),
                    until: Instant::now() + self.arguments.drain(),
                });
            }
            // Now, when nothing new comes here any more.
            entered.stop.cancel();
            tracing::info!(pod = %name, "released");
        }
    }

    /// Listens in a pod's namespace, unless we do already.
    fn enter(
        &mut self,
        pod: &PodConfig,
        workers: &Workers,
        sockets: &mut Sockets,
    ) -> Result<(), State> {
        let home = self.namespaces.find(pod);
        let netns = home.as_ref().ok().map(|home| home.netns.id());
        if let Some(known) = self.entered.get(&pod.name) {
            if Some(known.netns.id()) == netns {
                return Ok(());
            }
            // The pod's sandbox is gone, or was made anew under the same name.
            tracing::info!(pod = %pod.name, "its sandbox is gone");
            known.stop.cancel();
            self.entered.remove(&pod.name);
        }
        let Home { netns, addresses } = home.map_err(|error| {
            let why = format!("network namespace: {error:#}");
            // A pod without an address was not started yet, as far as the API server knows.
            if pod.addresses.is_empty() || self.namespaces.has_left(&pod.name) {
                State::Waiting(why)
            } else {
                State::Failed(why)
            }
        })?;
        let stop = self.shutdown.child_token();
        let kept = self.listen(pod, &addresses, &netns, workers, sockets, &stop);
        let kept = kept.map_err(|error| {
            stop.cancel();
            State::Failed(format!("listening in the pod: {error:#}"))
        })?;
        let entered = Entered {
            uid: pod.uid.clone(),
            netns,
            given: addresses,
            stop,
            kept,
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
        given: &[IpAddr],
        netns: &Netns,
        workers: &Workers,
        sockets: &mut Sockets,
        stop: &CancellationToken,
    ) -> io::Result<Kept> {
        let context = PodContext::new(
            pod.name.clone(),
            pod.uid.clone(),
            netns.clone(),
            workers.settings(),
        );
        let mut kept = Kept::default();
        let mut opened = Vec::new();
        for any in families(pod.addresses.iter().chain(given)) {
            for port in Port::ALL {
                let address = SocketAddr::new(any, port.number());
                let listeners = sockets.listen(netns, address, workers.count())?;
                kept.listeners(netns, &listeners)?;
                opened.push((port, listeners));
            }
        }
        let name_server = NameServer::open(netns, sockets, &mut kept)?;
        // All of them are there: nobody is left with half of the ports, whatever else is tried again.
        for (port, listeners) in opened {
            for (worker, listener) in workers.deal(listeners) {
                worker.serve_pod(PodSocket {
                    pod: context.clone(),
                    port,
                    listener,
                    shutdown: stop.clone(),
                });
            }
        }
        name_server.serve(
            &self.arguments,
            &self.config,
            &pod.name,
            netns,
            (stop, &self.queries),
        )?;
        Ok(kept)
    }
}

/// Pods that are captured no more, but still have what connections need that were open then.
pub(crate) struct Released(Vec<(PodName, Netns)>);

impl Released {
    /// Leaves the pods' networking as it was.
    pub(crate) fn restore(self) {
        for (name, netns) in self.0 {
            restore(&name, &netns);
        }
    }
}

/// Captures nothing of a pod any more, and judges nothing.
fn release(name: &PodName, netns: &Netns) {
    for released in [packet_rules::remove(netns), capture::release(netns)] {
        if let Err(error) = released {
            tracing::warn!(pod = %name, %error, "rules were left behind");
        }
    }
}

/// Leaves a pod's networking as it was.
fn restore(name: &PodName, netns: &Netns) {
    for removed in [capture::remove(netns), packet_rules::remove(netns)] {
        if let Err(error) = removed {
            tracing::warn!(pod = %name, %error, "rules were left behind");
        }
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
        let addresses = match pod.addresses.as_slice() {
            [] => &self.given,
            known => known,
        };
        let packets = packets::wanted(
            config,
            pod,
            addresses,
            &common.node_addresses,
            &common.services,
        );
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

/// The unspecified address of each family that a pod with these addresses has.
fn families<'a>(mut addresses: impl Iterator<Item = &'a IpAddr>) -> impl Iterator<Item = IpAddr> {
    let has_v6 = addresses.any(IpAddr::is_ipv6);
    let v4 = IpAddr::from([0_u8; 4]);
    let v6 = has_v6.then(|| IpAddr::from([0_u8; 16]));
    [v4].into_iter().chain(v6)
}
