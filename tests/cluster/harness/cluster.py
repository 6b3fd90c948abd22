"""The whole cluster: up, down, status, and images into it."""

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import build, cgroups, control_plane, images, layout, network, node, pki, tunables
from .layout import NODES, Family, Node
from .process import ClusterError, log_path, recorded, stop, wait_for


def up(families: tuple[Family, ...] = (layout.IPV4,)) -> Path:
    """Starts the cluster, unless one runs; returns the path of its kubeconfig once nodes and DNS are ready."""
    tarballs = prepare()
    started = time.monotonic()
    if not missing():
        return layout.KUBECONFIG
    down()
    try:
        create(tarballs, families)
        wait_nodes()
        say(started, "three nodes are Ready")
        control_plane.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=60s")
        say(started, "DNS is ready")
    except ClusterError as error:
        raise ClusterError(f"{error}\nLogs are in {layout.LOGS}; `down` removes them") from error
    return layout.KUBECONFIG


def prepare() -> list[Path]:
    """Everything that outlives a cluster: programs, and the images of its own."""
    programs = build.build_all()
    return [images.write(image) for image in images.cluster_images(programs)]


def create(tarballs: list[Path], families: tuple[Family, ...]) -> None:
    layout.STATE.mkdir(parents=True)
    tunables.remember()
    pki.create()
    network.create(families)
    control_plane.start_etcd()
    control_plane.start_api_server(families)
    for each in NODES:
        cgroups.create(each)
    on_nodes(lambda each: node.create(each, families))
    load(tarballs)
    control_plane.wait_ready()
    control_plane.start_controllers()
    on_nodes(lambda each: node.join(each, families))
    control_plane.kubectl("apply", "--server-side", "-f", layout.SOURCE / "manifests")


def load(tarballs: Iterable[Path]) -> None:
    """Imports images on every node."""
    for tarball in tarballs:
        on_nodes(lambda each: node.load(each, tarball))


def on_nodes(work: Callable[[Node], None]) -> None:
    with ThreadPoolExecutor(len(NODES)) as threads:
        list(threads.map(work, NODES))


def wait_nodes() -> None:
    wait_for("all nodes are Ready", 120, lambda: all(ready for ready in nodes().values()) and len(nodes()) == len(NODES), log_path("node1-kubelet"))


def nodes() -> dict[str, bool]:
    """The nodes that the API server knows, and whether each is Ready."""
    known = json.loads(control_plane.kubectl("get", "nodes", "-o", "json"))["items"]
    return {entry["metadata"]["name"]: any(c["type"] == "Ready" and c["status"] == "True" for c in entry["status"]["conditions"]) for entry in known}


def expected() -> list[str]:
    return [*control_plane.PROGRAMS, *(name for each in NODES for name in node.processes(each))]


def missing() -> list[str]:
    """Processes of a cluster that do not run."""
    running = recorded()
    return [name for name in expected() if name not in running]


def left() -> list[str]:
    """Everything of a cluster that exists on this machine."""
    processes = [f"process {pid} ({name})" for name, pid in recorded().items()]
    mounts = [f"mount {line.split()[4]}" for line in Path("/proc/self/mountinfo").read_text().splitlines() if line.split()[4].startswith(f"{layout.STATE}/")]
    folder = [f"folder {layout.STATE}"] if layout.STATE.exists() else []
    return [*processes, *network.left(), *cgroups.left(), *mounts, *folder]


def down() -> None:
    """Ends and removes the cluster, or what is left of one, and makes sure."""
    stop([name for each in NODES for name in node.processes(each)])
    stop(list(reversed(control_plane.PROGRAMS)))
    cgroups.remove()
    network.remove()
    tunables.restore()
    if layout.STATE.exists():
        shutil.rmtree(layout.STATE)
    if remaining := left():
        raise ClusterError(f"still here: {', '.join(remaining)}")


def say(started: float, what: str) -> None:
    print(f"cluster: {what} after {time.monotonic() - started:.1f} s", file=sys.stderr)
