"""A control plane and Envoys in a network namespace of their own: run.sh makes it, so that every address and port in it is free.

All addresses of 10.0.0.0/8 are the namespace's own: a server may listen on any of them as a pod would.
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
PROGRAMS = pathlib.Path(os.environ["HEDDLE_PROGRAMS"])
ENVOY = os.environ["HEDDLE_ENVOY"]
LOGS = os.environ.get("HEDDLE_LOGS")
CONTROL_PLANE = "spiffe://cluster.local/ns/heddle-system/sa/heddle-control-plane"
PATIENCE = 60
"""Seconds that anything may take before it counts as never: generous, for a machine that does other things too."""


def wait(what, condition):
    """Asks until it is told something that counts as true; returns that."""
    end = time.monotonic() + PATIENCE
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"after {PATIENCE} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def get(port, path, host="127.0.0.1", method="GET", headers=None, source=None):
    """One request on a connection of its own: status, headers, body."""
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE, source_address=source)
    try:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def bootstrap():
    """The bootstrap that README.md shows: what is tested is what people copy."""
    text = (ROOT / "README.md").read_text()
    block = re.search(r"```yaml\n(node:\n.*?)```", text, re.DOTALL)
    if not block:
        raise AssertionError("README.md shows no bootstrap for Envoy (a yaml block that begins with `node:`)")
    return block[1]


def replaced(text, old, new):
    if old not in text:
        raise AssertionError(f"the bootstrap in README.md does not hold {old!r} any more; this test has to follow")
    return text.replace(old, new)


def bootstrap_for(identity, metadata, certificates, variant, admin, control_plane="127.0.0.1"):
    """The same for this client. variant: DELTA_GRPC or GRPC (state of the world); admin: the port of its admin interface."""
    text = bootstrap()
    text = re.sub(r"(?m)^  id: \S+", lambda _: f"  id: {identity}", text, count=1)
    text, count = re.subn(r"metadata: \{role: [^}]*\}", lambda _: f"metadata: {metadata}", text)
    assert count == 1, "the bootstrap has one line of metadata"
    text = replaced(text, "/etc/heddle", str(certificates))
    text = replaced(text, "address: heddle-control-plane.heddle-system.svc", f"address: {control_plane}")
    text = replaced(text, "sni: heddle-control-plane.heddle-system.svc", "sni: localhost")
    text = replaced(text, "DELTA_GRPC", variant)
    return replaced(text, "port_value: 9901", f"port_value: {admin}")


def certificate(folder, identity, root):
    """A certificate of the mesh's own root for this SPIFFE id: its folder, in the layout of the bootstrap. root: path without .crt and .key."""
    if folder.exists():
        return folder
    folder.mkdir()
    (folder / "extensions").write_text(
        f"subjectAltName=critical,URI:{identity}\nkeyUsage=critical,digitalSignature\n"
        "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n")

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, cwd=folder)

    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "ec.key")
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", "ec.key", "-out", "tls.key")
    openssl("req", "-new", "-key", "tls.key", "-subj", "/", "-out", "request")
    openssl("x509", "-req", "-in", "request", "-CA", f"{root}.crt", "-CAkey", f"{root}.key", "-days", "1",
            "-set_serial", str(time.time_ns()), "-extfile", "extensions", "-out", "tls.crt")
    shutil.copy(f"{root}.crt", folder / "ca.crt")
    return folder


class Program:
    """A process that ends with the test; its log is told if it ended by itself."""

    def __init__(self, name, command, folder):
        self.name = name
        self.log = pathlib.Path(LOGS or folder) / f"{name}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Site:
    """The control plane on a folder of YAML."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="heddle-envoy-"))
        self.manifests = self.folder / "manifests"
        self.manifests.mkdir()
        (self.folder / "tokens.yaml").write_text("tokens: []\n")
        self.programs = []
        self.put("")
        self.control_plane = self.start(
            "control-plane",
            [PROGRAMS / "heddle-control-plane", "--manifests", self.manifests, "--listen", "127.0.0.1:15012",
             "--metrics-listen", "127.0.0.1:15014", "--ca-dir", self.folder / "ca",
             "--bootstrap-tokens", self.folder / "tokens.yaml"])
        wait("the control plane does not become ready", self.ready)

    def start(self, name, command):
        program = Program(name, [str(part) for part in command], self.folder)
        self.programs.append(program)
        return program

    def close(self):
        for program in reversed(self.programs):
            program.stop()
        self.programs.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ready(self):
        self.control_plane.alive()
        try:
            return get(15014, "/readyz")[0] == 200
        except OSError:
            return False

    def put(self, text):
        """The objects, all at once."""
        new = self.folder / "new.yaml"
        new.write_text(text)
        new.replace(self.manifests / "world.yaml")

    def asked(self, path):
        self.control_plane.alive()
        return json.loads(get(15014, path)[2])

    def certificate(self, identity):
        return certificate(self.folder / re.sub("[^a-z0-9]+", "-", identity), identity, self.folder / "ca" / "root-1")

    def envoy(self, name, identity, metadata, variant, admin):
        """Starts an Envoy by the bootstrap of README.md; variant: DELTA_GRPC or GRPC (state of the world)."""
        text = bootstrap_for(identity, metadata, self.certificate(identity), variant, admin)
        file = self.folder / f"{name}.yaml"
        file.write_text(text)
        program = self.start(name, [ENVOY, "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"])
        return Envoy(name, program, admin)


class Envoy:
    """A running Envoy, by its admin interface."""

    def __init__(self, name, program, admin):
        self.name = name
        self.program = program
        self.admin = admin

    def ask(self, path):
        self.program.alive()
        try:
            return get(self.admin, path)[2]
        except OSError:
            return ""

    def stats(self, pattern):
        """Counters and gauges whose names match."""
        lines = self.ask(f"/stats?filter={pattern}").splitlines()
        pairs = [line.rsplit(": ", 1) for line in lines if ": " in line]
        return {name: int(value) for name, value in pairs if value.isdigit()}

    def connected(self):
        return self.stats("^control_plane.connected_state$").get("control_plane.connected_state") == 1

    def clusters(self):
        """Names of the active clusters that the control plane sent."""
        found = json.loads(self.ask("/config_dump?resource=dynamic_active_clusters&mask=cluster.name") or "{}")
        return {entry["cluster"]["name"] for entry in found.get("configs", [])}

    def dump(self, resource):
        return json.loads(self.ask(f"/config_dump?resource={resource}") or "{}").get("configs", [])

    def refusals(self):
        """Everything that says that a resource was not taken: what is not zero."""
        return {name: value for name, value in self.stats(
            r"(update_rejected|listener_create_failure|key_rotation_failed|ssl_context_update_by_sds_failed)$").items() if value}

    def unfinished(self):
        """What waits for something else."""
        return {name: value for name, value in self.stats(
            r"(warming_clusters|total_listeners_warming|total_listeners_draining)$").items()
                if value and "draining" not in name}

    def updates(self):
        """How many updates of each type were taken."""
        taken = {}
        for name, value in self.stats(r"update_success$").items():
            for kind in ("lds", "cds", "rds", "sds"):
                if f".{kind}." in name:
                    taken[kind] = taken.get(kind, 0) + value
            if name.startswith("cluster.") and name.count(".") >= 2 and ".lds." not in name and ".cds." not in name:
                taken["eds"] = taken.get("eds", 0) + value
        return taken
