#!/usr/bin/env python3
"""Kubernetes on one machine, for tests. `scripts/cluster.sh` calls this with everything installed that it needs."""

import argparse
import fcntl
import os
import subprocess
import sys
from pathlib import Path

from harness import able, cluster, layout, node
from harness.process import ClusterError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("able", help="say what this machine lacks for a cluster; fails if it lacks something")
    commands.add_parser("build", help="build the programs and images that the cache lacks")
    up = commands.add_parser("up", help="start the cluster and print the path of its kubeconfig")
    up.add_argument("--dual-stack", action="store_true", help="IPv6 beside IPv4 (a running cluster stays as it is)")
    commands.add_parser("down", help="end the cluster; nothing of it is left")
    commands.add_parser("status", help="say what runs; fails unless everything does")
    commands.add_parser("load", help="import image tarballs on every node").add_argument("tarball", type=Path, nargs="+")
    execute = commands.add_parser("exec", help="run a command in a node's namespaces")
    execute.add_argument("node", choices=[each.name for each in layout.NODES])
    execute.add_argument("argument", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    if arguments.command == "able":
        lacking = able.lacking()
        return fail(f"this machine lacks {', '.join(lacking)}") if lacking else 0
    if os.geteuid() != 0:
        return fail("needs root: it makes namespaces, links and cgroups")
    try:
        return perform(arguments)
    except (ClusterError, subprocess.CalledProcessError) as error:
        return fail(str(error))


def perform(arguments: argparse.Namespace) -> int:
    if arguments.command == "status":
        return status()
    if arguments.command == "exec":
        chosen = next(each for each in layout.NODES if each.name == arguments.node)
        command = [*node.inside(chosen), *arguments.argument]
        os.execvp(command[0], command)
    layout.CACHE.mkdir(parents=True, exist_ok=True)
    with (layout.CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if arguments.command == "build":
            cluster.prepare()
        elif arguments.command == "up":
            families = (layout.IPV4, layout.IPV6) if arguments.dual_stack else (layout.IPV4,)
            print(cluster.up(families))
        elif arguments.command == "down":
            cluster.down()
        elif arguments.command == "load":
            cluster.load(arguments.tarball)
    return 0


def status() -> int:
    if not cluster.left():
        print("no cluster")
        return 1
    missing = cluster.missing()
    for name in cluster.expected():
        print(f"{name:28} {'does not run' if name in missing else 'runs'}")
    states = {} if missing else cluster.nodes()
    for name, ready in states.items():
        print(f"{name:28} {'Ready' if ready else 'not ready'}")
    print(f"logs in {layout.LOGS}")
    return 0 if states and all(states.values()) else 1


def fail(reason: str) -> int:
    print(f"cluster: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
