"""A node: its namespaces, then containerd, kubelet and kube-proxy in them."""

import json
import os
import subprocess
from pathlib import Path

from . import layout, pki
from .layout import NODE_PROGRAMS, Family, Node
from .process import ClusterError, log_path, record, recorded, start, started, wait_for

CONTAINERD_SOCKET = "/run/containerd/containerd.sock"

CONTAINERD = f"""\
version = 3
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{layout.PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.runtime"]
  # A runtime without CAP_SYS_RESOURCE may not lower a container's score; keep the score it has then.
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/opt/cni/bin"]
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


def kubelet_configuration(node: Node) -> dict:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": "/etc/kubernetes/ca.crt"}, "anonymous": {"enabled": False}, "webhook": {"enabled": True}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": "/etc/kubernetes/node.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/node.key",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "clusterDNS": [str(layout.DNS_SERVICE)],
        "clusterDomain": layout.CLUSTER_DOMAIN,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        # /usr is read-only in a node.
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        # Three nodes count one machine's disk and memory: none of them may evict for it, nor collect images that no registry gives back.
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "nodefs.inodesFree": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,
    }


def kube_proxy_configuration(node: Node, families: tuple[Family, ...]) -> dict:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": "/etc/kubernetes/kube-proxy.kubeconfig"},
        "hostnameOverride": node.name,
        "clusterCIDR": ",".join(str(family.pods) for family in families),
        "mode": "iptables",
        "nodePortAddresses": ["primary"],
        "oomScoreAdj": 0,
        "iptables": {"localhostNodePorts": False, "minSyncPeriod": "100ms"},
        # These belong to the machine, not to a network namespace.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def pod_network(node: Node, families: tuple[Family, ...]) -> dict:
    """The CNI configuration; leases lie in /run, so that they end with the node's pods."""
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": str(node.pods(family))}] for family in families],
        "routes": [{"dst": "::/0" if family == layout.IPV6 else "0.0.0.0/0"} for family in families],
        "dataDir": "/run/cni/addresses",
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": False, "ipam": addresses}]}


def write_files(node: Node, families: tuple[Family, ...]) -> None:
    """The node's own files below /etc, beside the host's."""
    files = {
        "hosts": f"127.0.0.1 localhost\n{node.address(layout.IPV4)} {node.name}\n",
        "resolv.conf": "",
        "containerd/config.toml": CONTAINERD,
        "cni/net.d/10-pods.conflist": json.dumps(pod_network(node, families), indent=2),
        "kubernetes/kubelet.json": json.dumps(kubelet_configuration(node), indent=2),
        "kubernetes/kube-proxy.json": json.dumps(kube_proxy_configuration(node, families), indent=2),
        "kubernetes/kubelet.kubeconfig": (layout.PKI / f"{node.name}.kubeconfig").read_text(),
        "kubernetes/kube-proxy.kubeconfig": (layout.PKI / "kube-proxy.kubeconfig").read_text(),
        "kubernetes/ca.crt": pki.CA.read_text(),
        "kubernetes/node.crt": pki.certificate(node.name).read_text(),
        "kubernetes/node.key": pki.key(node.name).read_text(),
    }
    for path, content in files.items():
        file = node.etc / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        file.chmod(0o600 if path.endswith((".key", ".kubeconfig")) else 0o644)


def processes(node: Node) -> list[str]:
    """Names of the node's processes; the end of the first is the end of all that runs in the node."""
    return [f"{node.name}-{part}" for part in ("init", "namespaces", "containerd", "kubelet", "kube-proxy")]


def create(node: Node, families: tuple[Family, ...]) -> None:
    """Makes the node's namespaces, and starts containerd in them."""
    for folder in (node.root, node.etc, node.folder / "etc.work"):
        folder.mkdir(parents=True)
    write_files(node, families)
    outer = start(
        f"{node.name}-namespaces",
        "nsenter", f"--net=/run/netns/{node.namespace}",
        "unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--propagation=private",
        layout.SOURCE / "harness/enter-node.sh", node.name, node.folder, layout.CACHE,
    )  # fmt: skip
    pid = wait_for(f"{node.name}'s namespaces", 20, lambda: holder(outer), log_path(f"{node.name}-namespaces"))
    record(f"{node.name}-init", pid)
    start_in(node, "containerd", "--config=/etc/containerd/config.toml")
    socket = Path(f"/proc/{pid}/root{CONTAINERD_SOCKET}")
    wait_for(f"{node.name}'s containerd", 30, socket.is_socket, log_path(f"{node.name}-containerd"))


def holder(outer: int) -> int | None:
    """The first process of the namespaces, once it has made the mounts and only holds them."""
    if started(outer) is None:
        raise ClusterError(f"the namespaces were not made: {log_path('').parent}")
    for child in Path(f"/proc/{outer}/task/{outer}/children").read_text().split():
        try:
            if os.readlink(f"/proc/{child}/exe").endswith("/probe"):
                return int(child)
        except OSError:
            pass
    return None


def start_in(node: Node, program: str, *arguments: str) -> None:
    start(f"{node.name}-{program}", *inside(node), NODE_PROGRAMS / program, *arguments)


def inside(node: Node) -> list[str]:
    """What a command begins with to run in the node. (`ip netns exec` would mount another /sys, without cgroups.)"""
    pid = recorded().get(f"{node.name}-init")
    if pid is None:
        raise ClusterError(f"{node.name} does not run")
    path = f"PATH={NODE_PROGRAMS}:/usr/sbin:/usr/bin:/sbin:/bin"
    return ["nsenter", f"--target={pid}", "--mount", "--uts", "--ipc", "--net", "--pid", "--", "env", "-i", path, "HOME=/root"]


def load(node: Node, tarball: Path) -> None:
    """Imports an image."""
    command = [*inside(node), str(NODE_PROGRAMS / "ctr"), "--namespace=k8s.io", "images", "import", "-"]
    with tarball.open("rb") as content:
        done = subprocess.run(command, stdin=content, capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterError(f"{node.name} did not take {tarball}: {done.stderr.strip()}")


def join(node: Node, families: tuple[Family, ...]) -> None:
    """Starts kubelet and kube-proxy; the API server must be ready."""
    start_in(
        node, "kubelet",
        "--config=/etc/kubernetes/kubelet.json", "--kubeconfig=/etc/kubernetes/kubelet.kubeconfig",
        f"--hostname-override={node.name}", f"--node-ip={','.join(str(node.address(family)) for family in families)}",
    )  # fmt: skip
    start_in(node, "kube-proxy", "--config=/etc/kubernetes/kube-proxy.json")
