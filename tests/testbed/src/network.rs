//! Links, addresses and routes.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, bail};
use heddle_redirect::Netns;

use crate::{
    Node, Pod, Process,
    command::{ip, run},
    enter,
};

/// Address of the fabric, where the control plane listens.
pub const FABRIC_ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 1);
/// Where the namespaces lie, one file each.
pub const NETNS_FOLDER: &str = "/run/netns";
/// The bridge that joins the nodes.
pub(crate) const BRIDGE: &str = "heddle-fabric";
/// What pods see as their router: answered by proxy ARP on the node's side of the link.
const POD_ROUTER: &str = "169.254.1.1";

/// Nodes and pods on this machine. The process itself is in the fabric.
pub struct Testbed {
    folder: PathBuf,
    nodes: BTreeMap<String, Node>,
    pods: BTreeMap<String, Pod>,
}

impl Testbed {
    /// Makes the fabric. Only inside (see [`enter`](crate::enter)). Logs go to `folder`; under `/run`, which is the testbed's own, they
    /// vanish with it.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        if !enter::is_inside() {
            bail!("a testbed needs namespaces of its own: call heddle_testbed::enter first");
        }
        enter::unblock()?;
        run(
            Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/run"]),
            "",
        )?;
        fs::create_dir_all(NETNS_FOLDER)?;
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        ip(
            None,
            &format!(
                "link set lo up\n\
                 link add {BRIDGE} type bridge\n\
                 addr add {FABRIC_ADDRESS}/24 dev {BRIDGE}\n\
                 link set {BRIDGE} up\n"
            ),
        )?;
        Ok(Self {
            folder: folder.to_owned(),
            nodes: BTreeMap::new(),
            pods: BTreeMap::new(),
        })
    }

    /// Adds a node.
    pub fn add_node(&mut self, node: Node) -> anyhow::Result<()> {
        let (name, index) = (node.name.as_str(), self.nodes.len());
        ip(
            None,
            &format!(
                "netns add {name}\n\
                 link add vnode-{index} type veth peer name eth0 netns {name}\n\
                 link set vnode-{index} master {BRIDGE}\n\
                 link set vnode-{index} up\n"
            ),
        )?;
        let mut lines = format!(
            "link set lo up\naddr add {}/24 dev eth0\nlink set eth0 up\nroute add default via {FABRIC_ADDRESS}\n",
            node.address
        );
        for other in self.nodes.values() {
            lines += &format!("route add {} via {}\n", other.pods, other.address);
        }
        ip(Some(name), &lines)?;
        sysctl(name, "net/ipv4/ip_forward", "1")?;
        for other in self.nodes.values() {
            let route = format!("route add {} via {}\n", node.pods, node.address);
            ip(Some(&other.name), &route)?;
        }
        ip(
            None,
            &format!("route add {} via {}\n", node.pods, node.address),
        )?;
        self.nodes.insert(node.name.clone(), node);
        Ok(())
    }

    /// Adds a pod.
    pub fn add_pod(&mut self, pod: Pod) -> anyhow::Result<()> {
        let Some(node) = self.nodes.get(&pod.node) else {
            bail!(
                "pod {} is on node {}, which is not there",
                pod.netns(),
                pod.node
            );
        };
        if !node.pods.contains(&pod.address) {
            bail!(
                "pod {}: {} is not in {}",
                pod.netns(),
                pod.address,
                node.pods
            );
        }
        let (netns, index, address) = (pod.netns(), self.pods.len(), pod.address);
        ip(None, &format!("netns add {netns}\n"))?;
        ip(
            Some(&node.name),
            &format!(
                "link add pod-{index} type veth peer name eth0 netns {netns}\n\
                 link set pod-{index} up\n\
                 route add {address}/32 dev pod-{index} src {}\n",
                node.address
            ),
        )?;
        sysctl(
            &node.name,
            &format!("net/ipv4/conf/pod-{index}/proxy_arp"),
            "1",
        )?;
        // Without a delay: a node's answer to ARP on behalf of others is otherwise held back up to 0.8 s (arp(7), proxy_delay).
        sysctl(
            &node.name,
            &format!("net/ipv4/neigh/pod-{index}/proxy_delay"),
            "0",
        )?;
        ip(
            Some(&netns),
            &format!(
                "link set lo up\n\
                 addr add {address}/32 dev eth0\n\
                 link set eth0 up\n\
                 route add {POD_ROUTER} dev eth0 scope link\n\
                 route add default via {POD_ROUTER} dev eth0\n"
            ),
        )?;
        self.write_resolver(&pod)?;
        self.pods.insert(netns, pod);
        Ok(())
    }

    fn write_resolver(&self, pod: &Pod) -> anyhow::Result<()> {
        let text = format!(
            "nameserver 10.96.0.10\n\
             search {}.svc.cluster.local svc.cluster.local cluster.local\n\
             options ndots:5\n",
            pod.namespace
        );
        let path = resolver_file(&pod.netns());
        fs::write(&path, text).with_context(|| path.display().to_string())
    }

    /// The pods, by the name of their network namespace.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values()
    }

    /// The nodes, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A command that will run in a pod, with the pod's resolver and its name in the environment.
    pub fn in_pod(&self, pod: &Pod, program: &str) -> Command {
        let netns = Path::new(NETNS_FOLDER).join(pod.netns());
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", netns.display()));
        finish_pod_command(&mut command, &pod.netns(), program);
        command
    }

    /// A command that will run on a node.
    pub fn on_node(&self, node: &str, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg(format!("--net={NETNS_FOLDER}/{node}"))
            .arg("--")
            .arg(program);
        command
    }

    /// A TCP connection from a node's or a pod's network namespace, by that namespace's name.
    pub fn connect(
        &self,
        netns: &str,
        to: SocketAddr,
        patience: Duration,
    ) -> anyhow::Result<TcpStream> {
        let netns = Netns::open(Path::new(NETNS_FOLDER).join(netns))?;
        let stream = netns.run(|| TcpStream::connect_timeout(&to, patience))?;
        let stream = stream.with_context(|| format!("no connection to {to}"))?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(stream)
    }

    /// Starts a command; what it prints goes to `<name>.log`. It ends with the returned value.
    pub fn start(&self, name: &str, command: Command) -> anyhow::Result<Process> {
        Process::start(name, command, &self.folder.join(format!("{name}.log")))
    }

    /// The folder for logs.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn resolver_file(netns: &str) -> PathBuf {
    PathBuf::from(format!("/run/{netns}.resolv.conf"))
}

/// Behind `nsenter ...`: a mount namespace with the pod's resolver, the pod's name, and then the program.
pub(crate) fn finish_pod_command(command: &mut Command, netns: &str, program: &str) {
    let (namespace, name) = netns.split_once('_').unwrap_or(("default", netns));
    let resolver = resolver_file(netns);
    command.args(["--", "unshare", "--mount", "sh", "-c"]);
    // /etc/resolv.conf may be a link into the /run that is hidden here: then the target is made for the mount to lie on.
    command.arg(format!(
        "t=$(readlink -m /etc/resolv.conf); [ -e \"$t\" ] || {{ mkdir -p \"$(dirname \"$t\")\" && : > \"$t\"; }}; \
         mount --bind {} \"$t\" && exec \"$0\" \"$@\"",
        resolver.display()
    ));
    command.arg(program);
    command
        .env("POD_NAMESPACE", namespace)
        .env("POD_NAME", name);
}

fn sysctl(netns: &str, name: &str, value: &str) -> anyhow::Result<()> {
    let netns = Netns::open(Path::new(NETNS_FOLDER).join(netns))?;
    let path = Path::new("/proc/sys").join(name);
    netns
        .run(|| fs::write(&path, value))?
        .with_context(|| path.display().to_string())
}
