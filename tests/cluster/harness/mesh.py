"""Heddle on the cluster: its image, its release, and pods that talk through it."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from . import cluster, layout
from .build import BIN
from .control_plane import kubectl
from .process import ClusterError, run, wait_for

ROOT = layout.SOURCE.parent.parent
"""The checkout."""

NAMESPACE = "heddle-system"
RELEASE = "heddle"
CHART = ROOT / "helm/heddle"
IMAGE = "ghcr.io/heddle-mesh/heddle:0.1.0"
NODE_PROXY = "daemonset/heddle-node-proxy"
CONTROL_PLANE = "deployment/heddle-control-plane"


def image() -> Path:
    """The image's tarball: what HEDDLE_IMAGE names, or built now, in the profile that the tests were built in."""
    if given := os.environ.get("HEDDLE_IMAGE"):
        return Path(given)
    profile = os.environ.get("HEDDLE_PROFILE", "dev")
    done = subprocess.run([ROOT / "scripts/images.sh", "--profile", profile], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise ClusterError("the image was not built: its output is above")
    return Path(done.stdout.split()[-1])


def start(families: tuple[layout.Family, ...] = (layout.IPV4,)) -> None:
    """A new cluster whose nodes have the image."""
    cluster.down()
    tarball = image()
    cluster.up(families)
    cluster.load([tarball])


def end() -> None:
    """Ends the cluster, unless HEDDLE_KEEP_CLUSTER is set."""
    if "HEDDLE_KEEP_CLUSTER" not in os.environ:
        cluster.down()


def say(what: str) -> None:
    """A figure for whoever reads the tests' output."""
    print(f"  {what}", file=sys.stderr)


def heddle(*arguments: object) -> str:
    """The command line as an operator has it: on this machine, with a kubeconfig."""
    target = Path(os.environ.get("CARGO_TARGET_DIR") or layout.CACHE.parent / "target")
    program = target / "debug/heddle"
    if not program.exists():
        run("cargo", "build", "--quiet", "--locked", f"--manifest-path={ROOT / 'Cargo.toml'}", f"--target-dir={target}", "-p", "heddle")
    return run(program, *arguments, f"--kubeconfig={layout.KUBECONFIG}")


def helm(*arguments: object) -> str:
    return run(BIN / "helm", f"--kubeconfig={layout.KUBECONFIG}", *arguments)


def install(*options: object) -> None:
    helm("install", RELEASE, CHART, f"--namespace={NAMESPACE}", "--create-namespace", "--wait", "--timeout=180s", *options)


def upgrade(*options: object) -> None:
    helm("upgrade", RELEASE, CHART, f"--namespace={NAMESPACE}", "--wait", "--timeout=180s", *options)


def uninstall() -> None:
    helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait", "--timeout=180s")


def apply(text: str) -> None:
    kubectl("apply", "--server-side", "-f", "-", input=text)


def get(kind: str, *arguments: object) -> dict:
    """An object or a list of them."""
    return json.loads(kubectl("get", kind, *arguments, "-o", "json"))


def pods(namespace: str, selector: str = "") -> list[dict]:
    """The pods that are not on their way out."""
    found = get("pods", "-n", namespace, f"--selector={selector}")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def refusals() -> str:
    """The last lines in which node proxies say whose request they answered with a 5xx, and why."""
    found = []
    for pod in pods(NAMESPACE, "app.kubernetes.io/component=node-proxy"):
        name = pod["metadata"]["name"]
        lines = kubectl("-n", NAMESPACE, "logs", name).splitlines()
        found += [f"{name}: {line}" for line in lines if " access: " in line and " status=5" in line][-10:]
    return "\n".join(found)


def rolled_out(namespace: str, *workloads: str, seconds: int = 120) -> None:
    for workload in workloads:
        kubectl("-n", namespace, "rollout", "status", workload, f"--timeout={seconds}s")


def roll(namespace: str, *workloads: str) -> None:
    """Replaces all pods of workloads at the same time and waits until the old ones are gone."""
    for workload in workloads:
        kubectl("-n", namespace, "rollout", "restart", workload)
    rolled_out(namespace, *workloads)
    wait_for("the old pods' end", 90, lambda: not any("deletionTimestamp" in pod["metadata"] for pod in get("pods", "-n", namespace)["items"]))


def condition(pod: str, namespace: str, kind: str = "heddle.dev/Enrolled") -> dict:
    """A pod's condition; empty if it has none of the kind."""
    conditions = get("pod", pod, "-n", namespace)["status"].get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def inside(namespace: str, pod: str, *command: object) -> str:
    return kubectl("-n", namespace, "exec", pod, "--", *command)


def ask(namespace: str, pod: str, url: str, *options: object, count: int = 1) -> "Tally":
    """Sends requests from a pod, as fast as eight clients can."""
    tally = Tally()
    output = inside(namespace, pod, "/heddle", "probe", "load", url, f"--count={count}", "--rate=20000", *options)
    tally.add(output)
    return tally


@dataclass
class Tally:
    """What clients counted."""

    ok: int = 0
    failed: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    identities: set[str] = field(default_factory=set)
    clients: set[str] = field(default_factory=set)
    pods: set[str] = field(default_factory=set)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, output: str) -> None:
        for line in output.splitlines():
            report = json.loads(line)
            self.ok += report["ok"]
            self.failed += report["failed"]
            self.errors.update(report["errors"])
            for backend in report["backends"]:
                self.versions[backend["version"]] += backend["count"]
                self.identities.add(backend["identity"])
                self.clients.add(backend["client"])
                self.pods.add(backend["pod"])

    def share(self, version: str) -> float:
        """In percent."""
        return 100 * self.versions[version] / max(self.ok, 1)


class Load:
    """A pod that sends requests until it is ended; what it counted is read from its log, so that nothing on the way can lose it."""

    def __init__(self, namespace: str, name: str, url: str, *options: str, node: str = "node3", rate: int = 200) -> None:
        self.namespace, self.name = namespace, name
        apply(json.dumps({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
            "spec": {
                "nodeName": node,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "serviceAccountName": "default",
                "containers": [{
                    "name": "load",
                    "image": IMAGE,
                    "imagePullPolicy": "Never",
                    "command": ["/heddle", "probe", "load", url, f"--rate={rate}", "--every-ms=100", *options],
                }],
            },
        }))

    def lines(self) -> list[tuple[str, str]]:
        """Each line with the time when it was written."""
        logs = kubectl("-n", self.namespace, "logs", self.name, "--timestamps")
        return [(when, line) for when, _, line in (entry.partition(" ") for entry in logs.splitlines())]

    def first(self, text: str) -> float | None:
        """When a text was first written, in seconds since 1970."""
        found = (when for when, line in self.lines() if text in line)
        return next((datetime.fromisoformat(when).timestamp() for when in found), None)

    def so_far(self) -> Tally:
        tally = Tally()
        tally.add("\n".join(line for _, line in self.lines()))
        return tally

    def wait_for(self, count: int) -> None:
        """Until that many answers have come."""
        def enough() -> bool:
            try:
                return self.so_far().ok >= count
            except ClusterError:
                return False
        wait_for(f"{count} answers to {self.name}", 90, enough)

    def end(self) -> Tally:
        """What it counted until now, and one second more."""
        time.sleep(1)
        tally = self.so_far()
        self.delete()
        return tally

    def delete(self) -> None:
        kubectl("-n", self.namespace, "delete", "pod", self.name, "--now", "--ignore-not-found", "--wait=false")
