"""A control plane on a folder of YAML, and gRPC programs of its pods, all on this machine's loopback addresses."""

import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from .family import IPV4, Family, authority
from .process import PROGRAMS, App, Process, wait_for

DOMAIN = "svc.cluster.local"
PORT = 50051
# Of Services, counted up.
ADDRESSES: dict[str, int] = {}


def identity(account: str, namespace: str = "shop") -> str:
    return f"spiffe://cluster.local/ns/{namespace}/sa/{account}"


def target(service: str, port: int = 80, namespace: str = "shop") -> str:
    return f"xds:///{service}.{namespace}.{DOMAIN}:{port}"


def pod(name: str, app: str, address: str, account: str = "default", mesh: str = "disabled", ready: bool = True) -> str:
    """A pod that is ready, or not."""
    return (
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {{app: {app}, heddle.dev/mesh: {mesh}}}}}\n"
        f"spec: {{nodeName: node-a, serviceAccountName: {account}, containers: [{{name: c, ports: [{{containerPort: 50051}}]}}]}}\n"
        f"status: {{phase: Running, podIP: '{address}', podIPs: [{{ip: '{address}'}}], conditions: [{{type: Ready, status: '{ready}'}}]}}\n"
    )


class Mesh:
    """Ends all of its processes with `end`. All of its addresses are of one family."""

    def __init__(self, family: Family = IPV4) -> None:
        self.family = family
        self.folder = Path(tempfile.mkdtemp(prefix="heddle-grpc-"))
        self.manifests = self.folder / "manifests"
        self.manifests.mkdir()
        self.processes: list[Process] = []
        self.port, self.admin = family.free_port(), family.free_port()
        self.admin_address = authority(family.loopback, self.admin)
        self.tokens: dict[str, str] = {}
        self.started = 0

    def address(self, group: int, number: int) -> str:
        """Of a pod."""
        return self.family.pod(group, number)

    def service(self, name: str, app: str | None, extra: str = "") -> str:
        """A Service of the pods with this label, port 80 at their port 50051. Nobody calls its address, but without one it could have no routes."""
        address = self.family.service(ADDRESSES.setdefault(name, len(ADDRESSES) + 1))
        selector = f"selector: {{app: {app}}}, " if app else ""
        return (
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop{extra}}}\n"
            f"spec: {{clusterIP: '{address}', clusterIPs: ['{address}'], ipFamilies: [{self.family.name}], {selector}"
            f"ports: [{{port: 80, name: grpc, targetPort: {PORT}, appProtocol: kubernetes.io/h2c}}]}}\n"
        )

    def slice(self, service: str, *addresses: str) -> str:
        """Endpoints that no selector has chosen."""
        endpoints = ", ".join(f"{{addresses: ['{address}'], conditions: {{ready: true}}}}" for address in addresses)
        return (
            f"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
            f"metadata: {{name: {service}-1, namespace: shop, labels: {{kubernetes.io/service-name: {service}}}}}\n"
            f"addressType: {self.family.name}\nports: [{{name: grpc, port: {PORT}}}]\nendpoints: [{endpoints}]\n"
        )

    def write(self, name: str, *documents: str) -> None:
        """Replaces a file of the mesh's YAML; whole, as an editor would."""
        beside = self.folder / f"{name}.new"
        beside.write_text("---\n".join(documents))
        beside.rename(self.manifests / f"{name}.yaml")

    def remove(self, name: str) -> None:
        (self.manifests / f"{name}.yaml").unlink()

    def start(self, *accounts: str) -> None:
        """The control plane, which knows these service accounts of the namespace `shop`."""
        for account in accounts:
            self.tokens[account] = f"token-of-{account}"
            (self.folder / f"{account}.token").write_text(self.tokens[account])
        lines = [f"- {{identity: '{identity(account)}', token: {token}}}\n" for account, token in self.tokens.items()]
        (self.folder / "tokens.yaml").write_text("tokens:\n" + "".join(lines))
        self.start_control_plane()

    def start_control_plane(self) -> None:
        self.control_plane = self.run_control_plane(self.port, self.admin_address)
        wait_for("the control plane is ready", lambda: self.is_ready(self.admin_address))

    def start_second(self) -> tuple[int, str]:
        """Another control plane with the same objects, authority and tokens; its port, and where it is asked."""
        port, admin = self.family.free_port(), authority(self.family.loopback, self.family.free_port())
        self.run_control_plane(port, admin)
        wait_for("the second control plane is ready", lambda: self.is_ready(admin))
        return port, admin

    def run_control_plane(self, port: int, admin: str) -> Process:
        command = [
            *(PROGRAMS / "heddle-control-plane", "--manifests", self.manifests, "--ca-dir", self.folder / "ca"),
            *("--bootstrap-tokens", self.folder / "tokens.yaml", "--listen", authority(self.family.loopback, port)),
            *("--metrics-listen", admin, "--log", "info"),
        ]
        return self.run("control-plane", command)

    def is_ready(self, admin: str) -> bool:
        assert self.control_plane.is_running(), self.control_plane.tail()
        try:
            with urllib.request.urlopen(f"http://{admin}/readyz", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def run(self, name: str, command: list[object]) -> Process:
        process = Process(self.log(name), command)
        self.processes.append(process)
        return process

    def log(self, name: str) -> Path:
        self.started += 1
        return self.folder / f"{self.started:03}-{name}.log"

    def bootstrap_command(self, account: str, folder: Path, *more: str) -> list[object]:
        # By a name where there is one: on a machine with both families it is the first that answers.
        host = "localhost" if self.family is IPV4 else self.family.loopback
        return [
            *(PROGRAMS / "heddle", "grpc-bootstrap", "--control-plane", authority(host, self.port)),
            *("--roots", self.folder / "ca/root-1.crt", "--token-file", self.folder / f"{account}.token"),
            *("--identity", identity(account), "--folder", folder, "--refresh", "1", *more),
        ]

    def bootstrap(self, account: str, *more: str) -> Path:
        """The bootstrap file of a program of this service account."""
        self.started += 1
        folder = self.folder / f"{self.started:03}-{account}"
        done = subprocess.run([str(word) for word in self.bootstrap_command(account, folder, *more)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return folder / "bootstrap.json"

    def conditions(self, kind: str, name: str) -> str:
        """What the control plane would write into the status of an object, as JSON."""
        with urllib.request.urlopen(f"http://{self.admin_address}/debug/status", timeout=10) as answer:
            return json.dumps(json.load(answer)[kind][name])

    def status(self, *more: str, of: str = "") -> subprocess.CompletedProcess:
        """`heddle status` of a control plane, or of several: ends with 0 if there is nothing that somebody should look at."""
        command = [PROGRAMS / "heddle", "status", "--address", of or self.admin_address, *more]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True)

    def plain_server(self, name: str, address: str) -> App:
        return self.app(name, None, "server", authority(address, PORT), name)

    def xds_server(self, name: str, address: str, account: str) -> App:
        bootstrap = self.bootstrap(account, "--pod", f"shop/{name}")
        return self.app(name, bootstrap, "server", authority(address, PORT), name, "--xds")

    def client(self, account: str, *more: str) -> App:
        return self.app(f"client-{account}", self.bootstrap(account, *more), "client")

    def app(self, name: str, bootstrap: Path | None, *arguments: str) -> App:
        app = App(self.log(name), bootstrap, *arguments)
        self.processes.append(app)
        return app

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
