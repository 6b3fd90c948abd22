//! Two nodes, and for each path a pod with the client on one and a pod with the server on the other.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::{Context, ensure};
use heddle_redirect::Netns;
use heddle_testbed::{NETNS_FOLDER, Node, Pod, Process, Testbed};
use nix::unistd::Pid;

use crate::{
    cases::Door, envoy::ENVOY_PATH, heddle::HEDDLE_PATH, machine::Cores, paths::MeasuredPath,
    server, shown::Shown,
};

/// Where all files of a run lie: a file system of its own that vanishes with it.
pub(crate) const FOLDER: &str = "/run/heddle-bench";

/// The node of the clients.
pub(crate) const CLIENTS_NODE: &str = "node-a";
/// The node of the servers.
pub(crate) const SERVERS_NODE: &str = "node-b";

/// The Kubernetes namespaces of the three pairs of pods. Only the first is in the mesh.
pub(crate) const HEDDLE: &str = "bench";
pub(crate) const ENVOY: &str = "envoy";
pub(crate) const DIRECT: &str = "direct";

/// A second server in the mesh, whose node's proxy reads HTTP too.
const READING: &str = "reading-server";
/// A third one, with a policy.
pub(crate) const GUARDED: &str = "guarded-server";
/// Servers on the clients' node, one in the mesh and one beside it.
const NEAR: &str = "near-server";
/// The latter's address.
pub(crate) const NEAR_ENVOY: [u8; 4] = [10, 244, 1, 15];
/// The address of the clients' node.
pub(crate) const CLIENTS_NODE_ADDRESS: [u8; 4] = [172, 18, 0, 11];

/// The direct path, under a name for each of the rates that it is asked at: as it is in all paths, as it is in Heddle's and Envoy's shares of their limits.
pub(crate) const CONTROLS: [(&str, Option<&str>); 3] = [
    ("direct", None),
    (AS_HEDDLE, Some(HEDDLE_PATH)),
    (AS_ENVOY, Some(ENVOY_PATH)),
];
pub(crate) const AS_HEDDLE: &str = "direct, as often as Heddle";
pub(crate) const AS_ENVOY: &str = "direct, as often as Envoy";

/// The testbed with its pods, and the proxies in it.
pub(crate) struct Site {
    bed: Testbed,
    started: Vec<Process>,
    /// What the programs were told.
    pub(crate) shown: Shown,
}

impl Site {
    /// Nodes, pods and servers; no proxy yet.
    pub(crate) fn build() -> anyhow::Result<Self> {
        let mut bed = Testbed::new(&Path::new(FOLDER).join("logs"))?;
        for (name, address, pods) in [
            (CLIENTS_NODE, CLIENTS_NODE_ADDRESS, "10.244.1.0/24"),
            (SERVERS_NODE, [172, 18, 0, 12], "10.244.2.0/24"),
        ] {
            bed.add_node(Node {
                name: name.to_owned(),
                address: address.into(),
                pods: pods.parse()?,
            })?;
        }
        for (host, namespace) in [(10, HEDDLE), (11, ENVOY), (12, DIRECT)] {
            bed.add_pod(pod(namespace, "client", CLIENTS_NODE, [10, 244, 1, host]))?;
            bed.add_pod(pod(namespace, "server", SERVERS_NODE, [10, 244, 2, host]))?;
        }
        bed.add_pod(pod(HEDDLE, READING, SERVERS_NODE, [10, 244, 2, 13]))?;
        bed.add_pod(pod(HEDDLE, GUARDED, SERVERS_NODE, [10, 244, 2, 14]))?;
        bed.add_pod(pod(HEDDLE, NEAR, CLIENTS_NODE, [10, 244, 1, 14]))?;
        bed.add_pod(pod(ENVOY, NEAR, CLIENTS_NODE, NEAR_ENVOY))?;
        let site = Self {
            bed,
            started: Vec::new(),
            shown: Shown::default(),
        };
        // Single proxies, their clients and servers are here.
        set_congestion_control()?;
        for pod in site.bed.pods() {
            let netns = site.netns(&pod.namespace, &pod.name)?;
            netns.run(set_up_tcp)??;
        }
        for (namespace, name) in [
            (HEDDLE, "server"),
            (ENVOY, "server"),
            (DIRECT, "server"),
            (HEDDLE, READING),
            (HEDDLE, GUARDED),
            (HEDDLE, NEAR),
            (ENVOY, NEAR),
        ] {
            server::start(&site.netns(namespace, name)?)?;
        }
        Ok(site)
    }

    /// A pod's network namespace.
    pub(crate) fn netns(&self, namespace: &str, name: &str) -> anyhow::Result<Netns> {
        Ok(Netns::open(
            Path::new(NETNS_FOLDER).join(format!("{namespace}_{name}")),
        )?)
    }

    /// A proxy's command, to be run on a node and on the proxies' core.
    pub(crate) fn on_node(&self, node: &str, program: &Path, cores: &Cores) -> Command {
        pinned(self.bed.on_node(node, "taskset"), program, cores)
    }

    /// A proxy's command, to be run in a pod and on the proxies' core.
    pub(crate) fn in_pod(
        &self,
        namespace: &str,
        name: &str,
        program: &Path,
        cores: &Cores,
    ) -> anyhow::Result<Command> {
        let mut pods = self.bed.pods();
        let pod = pods.find(|pod| pod.namespace == namespace && pod.name == name);
        let pod = pod.with_context(|| format!("no pod {namespace}/{name}"))?;
        Ok(pinned(self.bed.in_pod(pod, "taskset"), program, cores))
    }

    /// A proxy's command, to be run in this process' own namespaces and on the proxies' core.
    pub(crate) fn here(program: &Path, cores: &Cores) -> Command {
        pinned(Command::new("taskset"), program, cores)
    }

    /// Starts a program; it ends with this value.
    pub(crate) fn start(&mut self, name: &str, command: Command) -> anyhow::Result<Pid> {
        self.shown.command(name, &command);
        let process = self.bed.start(name, command)?;
        let id = Pid::from_raw(i32::try_from(process.id())?);
        self.started.push(process);
        Ok(id)
    }

    /// Asks all programs to end, and waits for it: what they write at their end is there then.
    pub(crate) fn let_end(&mut self, limit: Duration) -> anyhow::Result<()> {
        for process in &mut self.started {
            process.terminate()?;
        }
        for process in &mut self.started {
            let name = process.name().to_owned();
            ensure!(process.wait(limit).is_some(), "{name} does not end");
        }
        Ok(())
    }

    /// The path without proxies, which is the control of the others: at the rates that all have, or at those of one of them.
    pub(crate) fn direct(
        &self,
        name: &'static str,
        limit_of: Option<&'static str>,
    ) -> anyhow::Result<MeasuredPath> {
        let server = [10, 244, 2, 12];
        Ok(MeasuredPath {
            name,
            version: String::new(),
            client: Some(self.netns(DIRECT, "client")?),
            doors: [
                (Door::MeshHttp, SocketAddr::from((server, server::HTTP))),
                (Door::MeshBytes, SocketAddr::from((server, server::BYTES))),
            ]
            .into(),
            tls: None,
            proxies: Vec::new(),
            limit_of,
        })
    }

    /// The end of every program's log.
    pub(crate) fn last_words(&self) -> String {
        let words = self.started.iter().map(|process| {
            let log = process.log();
            let lines: Vec<_> = log.lines().collect();
            let tail = lines[lines.len().saturating_sub(15)..].join("\n");
            format!("-- {}\n{tail}", process.name())
        });
        words.collect::<Vec<_>>().join("\n")
    }
}

/// As Linux comes with it, whatever this machine has; where a network namespace may not choose that (`tcp_allowed_congestion_control`), the one that all may,
/// which is no other where nothing is lost.
fn set_congestion_control() -> anyhow::Result<()> {
    let set = |name| set_tcp("tcp_congestion_control", name);
    set("cubic").or_else(|_| set("reno"))
}

/// Of a pod's network namespace, in which the thread is: congestion control, and leave to open thousands of connections a second (a port is free
/// again a second after its connection was closed, and not a minute).
fn set_up_tcp() -> anyhow::Result<()> {
    set_congestion_control()?;
    set_tcp("tcp_tw_reuse", "1")?;
    set_tcp("ip_local_port_range", "20000 65535")
}

/// Of the network namespace that the thread is in.
fn set_tcp(name: &str, value: &str) -> anyhow::Result<()> {
    let path = Path::new("/proc/sys/net/ipv4").join(name);
    std::fs::write(&path, value).with_context(|| format!("{}: not set", path.display()))
}

fn pod(namespace: &str, name: &str, node: &str, address: [u8; 4]) -> Pod {
    Pod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        node: node.to_owned(),
        address: address.into(),
    }
}

fn pinned(mut taskset: Command, program: &Path, cores: &Cores) -> Command {
    taskset
        .args(["-c", &cores.proxies.to_string()])
        .arg(program);
    taskset
}
