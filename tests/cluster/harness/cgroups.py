"""One cgroup for each node, in every hierarchy of version 1, or in the single one of version 2."""

import os
import signal
from pathlib import Path

from . import layout
from .layout import Node
from .process import wait_for

MOUNT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """The roots of all hierarchies; links (`cpu` to `cpu,cpuacct`) once."""
    if (MOUNT / "cgroup.controllers").exists():
        return [MOUNT]
    return sorted({path.resolve() for path in MOUNT.iterdir() if path.is_dir()})


def create(node: Node) -> None:
    for root in hierarchies():
        if root == MOUNT:
            controllers = (root / "cgroup.controllers").read_text().split()
            (root / "cgroup.subtree_control").write_text(" ".join(f"+{controller}" for controller in controllers))
        folder = root / node.cgroup
        folder.mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if root != MOUNT and (folder / file).exists():
                (folder / file).write_text((root / file).read_text())


def left() -> list[str]:
    return [f"cgroup {root / node.cgroup}" for root in hierarchies() for node in layout.NODES if (root / node.cgroup).exists()]


def remove() -> None:
    """Removes the nodes' cgroups. Their processes have been ended before; one that is still ending is waited for."""
    for root in hierarchies():
        for node in layout.NODES:
            wait_for(f"the removal of {root / node.cgroup}", 20, lambda: removed(root / node.cgroup))


def removed(folder: Path) -> bool:
    """Tries to remove a cgroup with all below it; false while a process keeps one."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            end_members(Path(path))
    return not folder.exists()


def end_members(folder: Path) -> None:
    """Ends what still runs in one of the cluster's own cgroups."""
    try:
        members = (folder / "cgroup.procs").read_text().split()
    except OSError:
        return
    for pid in members:
        try:
            os.kill(int(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass
