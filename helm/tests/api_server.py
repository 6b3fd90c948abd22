"""A Kubernetes API server alone, with its etcd: plain processes on loopback, no nodes, no controllers. What a chart makes is stored and admitted as in
any cluster, and nothing runs."""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from charts import BIN, HELM_FOLDER, Failed, run

sys.path.insert(0, str(HELM_FOLDER.parent / "tests/cluster"))

from harness import definitions  # noqa: E402

ADMIN_TOKEN = "admin-of-a-server-on-loopback"


class ApiServer:
    """Started by `running`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.kubeconfig = folder / "admin.kubeconfig"
        self.processes: list[subprocess.Popen] = []

    def start(self) -> None:
        etcd, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        key = self.folder / "accounts.key"
        run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f"{ADMIN_TOKEN},admin,admin,system:masters\n")
        self.spawn("etcd", f"--data-dir={self.folder}/etcd", "--unsafe-no-fsync", "--log-level=warn", f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}",
                   f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=default={peers}")
        # Its serving certificate is its own affair.
        self.spawn("kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={self.port}",
                   f"--cert-dir={self.folder}", "--service-cluster-ip-range=10.96.0.0/16", "--authorization-mode=RBAC", f"--token-auth-file={tokens}",
                   "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={key}", f"--service-account-signing-key-file={key}",
                   "--endpoint-reconciler-type=none", "--allow-privileged=true")
        self.kubeconfig.write_text(self.config(ADMIN_TOKEN))
        deadline = time.monotonic() + 60
        while subprocess.run([BIN / "kubectl", f"--kubeconfig={self.kubeconfig}", "get", "--raw", "/readyz"], capture_output=True, check=False).returncode != 0:
            if time.monotonic() > deadline:
                raise RuntimeError("the API server did not start: " + (self.folder / "kube-apiserver.log").read_text()[-2000:])
            time.sleep(0.2)

    def config(self, token: str) -> str:
        """A kubeconfig for whoever has the token."""
        server = {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}
        return json.dumps({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "alone", "cluster": server}],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [{"name": "alone", "context": {"cluster": "alone", "user": "user"}}],
            "current-context": "alone",
        })

    def spawn(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("wb") as log:
            self.processes.append(subprocess.Popen([BIN / program, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True))

    def stop(self) -> None:
        # All of its state is thrown away: nothing has to end well.
        for process in reversed(self.processes):
            process.send_signal(signal.SIGKILL)
            process.wait()

    def kubectl(self, *arguments: object, stdin: str | None = None) -> str:
        return run(BIN / "kubectl", f"--kubeconfig={self.kubeconfig}", *arguments, stdin=stdin)

    def delete_definitions(self) -> None:
        """Deletes all custom resource definitions."""
        definitions.delete(self.kubectl, self.kubectl("get", "customresourcedefinitions", "-o", "name").split(), Failed)

    def helm(self, *arguments: object) -> str:
        return run(BIN / "helm", f"--kubeconfig={self.kubeconfig}", *arguments)

    def get(self, *arguments: object) -> dict:
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def request(self, method: str, path: str, body: dict | None = None, token: str = ADMIN_TOKEN, kind: str = "application/json") -> dict:
        """One request as it is, without what kubectl asks before and after."""
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{path}", method=method, data=json.dumps(body).encode() if body else None,
                                         headers={"Authorization": f"Bearer {token}", "Content-Type": kind, "Accept": "application/json"})
        # Its certificate was made a moment ago, on this machine.
        trusting = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(request, context=trusting, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise Failed(f"{method} {path}: {error.code}: {error.read().decode()}") from error

    def apply(self, *objects: dict) -> None:
        self.kubectl("apply", "--server-side", "-f", "-", stdin="\n---\n".join(map(json.dumps, objects)))


GIVEN: set[int] = set()


def free_port() -> int:
    """A port that nobody has, below those that the kernel gives to connections: one of these could be taken before the server listens."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(10_000, lowest), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in GIVEN:
                GIVEN.add(port)
                return port
    raise RuntimeError(f"none of a hundred ports between 10000 and {lowest} is free")


@contextlib.contextmanager
def running() -> Iterator[ApiServer]:
    folder = Path(tempfile.mkdtemp(prefix="heddle-charts-"))
    server = ApiServer(folder)
    # Whoever ends the tests ends the server too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        server.start()
        yield server
    finally:
        server.stop()
        if "HEDDLE_KEEP_LOGS" not in os.environ:
            shutil.rmtree(folder)
