"""The cluster, seen from outside: Heddle is there, the right CRDs are, and the suite's leftovers are not."""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from harness import build, layout

from .suites import CHECKOUT, CONTROLLER, GATEWAY_CLASS, NAMESPACE_PREFIX

VERSION_ANNOTATION = "gateway.networking.k8s.io/bundle-version"
CHANNEL_ANNOTATION = "gateway.networking.k8s.io/channel"
SAFE_UPGRADES = "safe-upgrades.gateway.networking.k8s.io"

POLICY_SECONDS = 30
"""How long a deleted admission policy may be in force."""

LOG_LINES = 2000
"""How much of each of Heddle's pods is kept after a failure."""


class ConformanceError(Exception):
    """A sentence for the user: what did not work, and what to do next."""


@dataclass(frozen=True)
class Cluster:
    kubeconfig: Path

    def kubectl(self, *arguments: object, input: str | None = None) -> str:
        program = shutil.which("kubectl", path=f"{build.BIN}:{os.environ.get('PATH', '')}")
        if program is None:
            raise ConformanceError("there is no kubectl: `scripts/cluster.sh build` makes one")
        command = [program, f"--kubeconfig={self.kubeconfig}", *(str(argument) for argument in arguments)]
        done = subprocess.run(command, input=input, capture_output=True, text=True)
        if done.returncode != 0:
            raise ConformanceError(f"`kubectl {' '.join(command[2:])}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def items(self, *arguments: object) -> list[dict]:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))["items"]


def default_kubeconfig() -> Path:
    """`KUBECONFIG`, or that of the test cluster."""
    return Path(os.environ.get("KUBECONFIG") or layout.KUBECONFIG)


def connect(kubeconfig: Path) -> Cluster:
    if not kubeconfig.exists():
        raise ConformanceError(f"there is no {kubeconfig}: start a cluster with `make cluster`, or set KUBECONFIG")
    cluster = Cluster(kubeconfig)
    cluster.kubectl("get", "--raw", "/readyz")
    return cluster


def wait_for_heddle(cluster: Cluster) -> str:
    """Waits until both programs are rolled out; returns their namespace."""
    found = [entry["metadata"]["namespace"] for entry in cluster.items("daemonsets", "--all-namespaces") if entry["metadata"]["name"] == "heddle-node-proxy"]
    if not found:
        raise ConformanceError("Heddle is not installed on this cluster: no namespace has a DaemonSet heddle-node-proxy. Install its Helm chart first")
    for workload in ("deployment/heddle-control-plane", "daemonset/heddle-node-proxy"):
        cluster.kubectl("-n", found[0], "rollout", "status", workload, "--timeout=180s")
    return found[0]


def load_images(cluster: Cluster, tarballs: list[Path]) -> None:
    """Puts the images on all nodes of the test cluster; of another one we cannot know how."""
    if cluster.kubeconfig.resolve() != layout.KUBECONFIG:
        print("conformance: this is not the test cluster; its nodes must have these images already:", *tarballs, sep="\n  ", file=sys.stderr)
        return
    subprocess.run([CHECKOUT / "scripts/cluster.sh", "load", *tarballs], check=True, stdout=sys.stderr)


def crd_files(release: Path, channel: str) -> list[Path]:
    """The CRDs of a release; its admission policy comes last, or it would keep us from changing the channel."""
    files = sorted((release / "config/crd" / channel).glob("gateway.networking.*.yaml"))
    return sorted(files, key=lambda file: "_vap_" in file.name)


def install_crds(cluster: Cluster, release: Path, tag: str, channel: str) -> None:
    """Makes the installed CRDs those of one release and channel: the suite refuses all others, and mixtures."""
    bundled = {entry["metadata"]["name"]: entry["metadata"]["annotations"] for entry in cluster.items("customresourcedefinitions") if is_bundled(entry)}
    wanted = {file.stem.partition("_")[2] + "." + file.stem.partition("_")[0] for file in crd_files(release, channel) if "_vap_" not in file.name}
    right = {name for name, notes in bundled.items() if (notes.get(VERSION_ANNOTATION), notes.get(CHANNEL_ANNOTATION)) == (tag, channel)}
    if set(bundled) == right == wanted:
        return
    print(f"conformance: installing the CRDs of Gateway API {tag}, {channel} channel", file=sys.stderr)
    # The policy forbids older releases and the way from standard to experimental. It comes back with the release's own files.
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        cluster.kubectl("delete", kind, SAFE_UPGRADES, "--ignore-not-found")
    if surplus := sorted(set(bundled) - wanted):
        cluster.kubectl("delete", "customresourcedefinition", *surplus, "--timeout=60s")
    for file in crd_files(release, channel):
        apply_definition(cluster, file)
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", *(f"customresourcedefinition/{name}" for name in sorted(wanted)))


def apply_definition(cluster: Cluster, file: Path) -> None:
    """Applies a file. The API server goes by the policy for some moments after that was deleted: until then again."""
    deadline = time.monotonic() + POLICY_SECONDS
    while True:
        try:
            cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", file)
            return
        except ConformanceError as error:
            if SAFE_UPGRADES not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.5)


def is_bundled(definition: dict) -> bool:
    return VERSION_ANNOTATION in definition["metadata"].get("annotations", {})


def create_gateway_class(cluster: Cluster) -> None:
    """The class that the suite's Gateways name."""
    manifest = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "GatewayClass",
        "metadata": {"name": GATEWAY_CLASS},
        "spec": {"controllerName": CONTROLLER},
    }
    cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(manifest))


def remove_leftovers(cluster: Cluster) -> None:
    """Removes what a killed suite leaves, and waits until it is gone."""
    cluster_wide = [entry for entry in cluster.items("namespaces") if entry["metadata"]["name"].startswith(NAMESPACE_PREFIX)]
    if names := sorted(entry["metadata"]["name"] for entry in cluster_wide):
        print(f"conformance: removing {', '.join(names)}", file=sys.stderr)
        cluster.kubectl("delete", "namespace", *names, "--ignore-not-found", "--timeout=180s")
    definitions = {entry["metadata"]["name"] for entry in cluster.items("customresourcedefinitions")}
    if "gatewayclasses.gateway.networking.k8s.io" in definitions:
        cluster.kubectl("delete", "gatewayclass", GATEWAY_CLASS, "--ignore-not-found")


def keep_evidence(cluster: Cluster, namespace: str, folder: Path) -> None:
    """Writes down what explains a failure: the logs of Heddle's pods, and the state of everything."""
    for name, arguments in {
        "pods.txt": ("get", "pods", "--all-namespaces", "-o", "wide"),
        "events.txt": ("get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"),
    }.items():
        write(folder / name, cluster, *arguments)
    for pod in (entry["metadata"]["name"] for entry in cluster.items("pods", "-n", namespace)):
        write(folder / f"{pod}.log", cluster, "-n", namespace, "logs", pod, "--all-containers", f"--tail={LOG_LINES}")


def write(file: Path, cluster: Cluster, *arguments: object) -> None:
    """The output of a command, or why there is none: evidence never hides the failure that it is about."""
    try:
        file.write_text(cluster.kubectl(*arguments))
    except ConformanceError as error:
        file.write_text(f"{error}\n")
