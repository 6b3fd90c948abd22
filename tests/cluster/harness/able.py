"""Whether this machine can have a cluster at all, asked before anything is built: each thing is tried, and undone."""

import os
import shutil
import subprocess

from . import cgroups

NAME = "heddle-able"
"""Of everything that is made to try."""

ATTEMPTS = {
    "network namespaces with bridges": ("unshare", "--net", "ip", "link", "add", NAME, "type", "bridge"),
    "packet rules by iptables": ("unshare", "--net", "iptables", "--table", "nat", "--list"),
    "mounts in namespaces of their own": ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", NAME, "/mnt"),
}


def lacking() -> list[str]:
    """What is missing, in words for whoever sees it."""
    if os.geteuid() != 0:
        return ["root"]
    found = [] if shutil.which("go") else ["Go 1.26 or newer (https://go.dev/dl)"]
    for what, command in ATTEMPTS.items():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            found.append(f"{what} ({done.stderr.strip()})")
    return found + unwritable()


def unwritable() -> list[str]:
    """The cgroup hierarchies in which no group can be made."""
    found = []
    for root in cgroups.hierarchies():
        try:
            (root / NAME).mkdir(exist_ok=True)
            (root / NAME).rmdir()
        except OSError as error:
            found.append(f"cgroups of one's own below {root} ({error.strerror})")
    return found
