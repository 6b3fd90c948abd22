"""Where everything is: folders, addresses, names. Values only; nothing here touches the machine."""

import os
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
"""`tests/cluster` in the checkout."""

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heddle" / "cluster"
"""Built programs and images; survives `down`."""

STATE = Path("/var/lib/heddle-cluster")
"""Everything of the running cluster; removed by `down`. Fixed, because the bridge, the namespaces and the cgroups have fixed names too."""

PREFIX = "heddle-"
"""Network namespaces, links and cgroups of the cluster begin with it."""

BRIDGE = "heddle-cluster"
"""The bridge between the nodes; it carries the control plane's address. At most 15 bytes."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Family:
    """The networks of one IP version."""

    nodes: Network
    pods: Network
    """Each node has a part of it."""
    services: Network
    node_bits: int
    """Prefix length of a node's part."""

    @property
    def host(self) -> Address:
        """The bridge's own address, where the control plane is."""
        return self.nodes[1]


IPV4 = Family(ip_network("10.243.0.0/24"), ip_network("10.244.0.0/16"), ip_network("10.96.0.0/16"), node_bits=24)
IPV6 = Family(ip_network("fd00:243::/64"), ip_network("fd00:244::/48"), ip_network("fd00:96::/112"), node_bits=64)

API_ADDRESS = IPV4.host
API_PORT = 6443
ETCD_CLIENTS = "http://127.0.0.1:12379"
ETCD_PEERS = "http://127.0.0.1:12380"
KUBERNETES_SERVICE = IPV4.services[1]
DNS_SERVICE = IPV4.services[10]
CLUSTER_DOMAIN = "cluster.local"

PAUSE_IMAGE = "cluster.test/pause:1"
PROBE_IMAGE = "cluster.test/probe:1"
COREDNS_IMAGE = "cluster.test/coredns:1"

KUBECONFIG = STATE / "admin.kubeconfig"
PKI = STATE / "pki"
LOGS = STATE / "logs"
PROCESSES = STATE / "processes"
TUNABLES = STATE / "tunables.json"

NODE_PROGRAMS = Path("/opt/cluster/bin")
"""Where a node sees the cache's programs."""


@dataclass(frozen=True)
class Node:
    """One node: its own network, mount, process, host name and IPC namespaces, with a container runtime, kubelet and kube-proxy."""

    index: int

    @property
    def name(self) -> str:
        return f"node{self.index}"

    @property
    def namespace(self) -> str:
        """The name of the network namespace."""
        return f"{PREFIX}{self.name}"

    @property
    def link(self) -> str:
        """The bridge's end of the veth pair; at most 15 bytes."""
        return f"{PREFIX}n{self.index}"

    def address(self, family: Family) -> Address:
        return family.nodes[10 + self.index]

    def pods(self, family: Family) -> Network:
        """Addresses of the node's pods."""
        size = family.pods.max_prefixlen - family.node_bits
        return ip_network((family.pods[self.index << size], family.node_bits))

    @property
    def folder(self) -> Path:
        return STATE / self.name

    @property
    def root(self) -> Path:
        """The node's root file system, as seen from outside."""
        return self.folder / "root"

    @property
    def etc(self) -> Path:
        """What the node's /etc has beside the host's."""
        return self.folder / "etc"

    @property
    def cgroup(self) -> str:
        """The folder below each cgroup hierarchy's root."""
        return f"{PREFIX}{self.name}"


NODES = tuple(Node(index) for index in (1, 2, 3))
