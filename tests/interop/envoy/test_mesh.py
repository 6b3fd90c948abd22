"""Envoy reaches pods of the mesh behind real node proxies by mutual TLS, and policy decides by its identity: `heddle demo`, with an Envoy in the pod outside the mesh."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from mesh_site import ENVOY, PATIENCE, PROGRAMS, ROOT, Program, bootstrap_for, certificate, wait

PROXY = "http://127.0.0.1:15001"
API = "http://api-v2-svc.production:8080"
ADMIN = "http://api-v2-canary.production:8080/admin"
"""Only monitoring/prometheus may read it. No route is attached to this Service."""
PODS = """
apiVersion: v1
kind: Pod
metadata: {name: edge, namespace: monitoring, labels: {app: edge, heddle.dev/mesh: disabled}, annotations: {demo.heddle.dev/app: idle}}
spec: {nodeName: node-b, serviceAccountName: prometheus, containers: [{name: app, image: heddle-sample-apps}]}
status: {phase: Running, podIP: 10.244.2.110, podIPs: [{ip: 10.244.2.110}], conditions: [{type: Ready, status: "True"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: edge, namespace: production, labels: {app: edge, heddle.dev/mesh: disabled}, annotations: {demo.heddle.dev/app: idle}}
spec: {nodeName: node-a, serviceAccountName: client, containers: [{name: app, image: heddle-sample-apps}]}
status: {phase: Running, podIP: 10.244.1.110, podIPs: [{ip: 10.244.1.110}], conditions: [{type: Ready, status: "True"}]}
"""
"""Beside default/outsider: pods outside the mesh, one of whom policy lets in more, and one for a Gateway's Envoy."""


class Demo:
    """The lesson's two nodes and sixteen pods, as processes in network namespaces."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="heddle-envoy-"))
        manifests = self.folder / "manifests"
        shutil.copytree(ROOT / "examples" / "lesson", manifests)
        (manifests / "99-edge.yaml").write_text(PODS)
        self.program = Program("demo", [str(PROGRAMS / "heddle"), "demo", "--manifests", str(manifests)], self.folder)

    def run(self, pod, *command):
        """A command in a pod: exit status and output."""
        whole = [str(PROGRAMS / "heddle"), "demo", "exec", "--demo", str(self.program.process.pid), pod, "--", *map(str, command)]
        done = subprocess.run(whole, capture_output=True, text=True, timeout=PATIENCE)
        return done.returncode, done.stdout

    def status(self, pod, *arguments):
        """The HTTP status that curl sees, 000 if there is none, and the body."""
        _, text = self.run(pod, "curl", "--silent", "--max-time", "20", "--write-out", "\n%{http_code}", *arguments)
        body, _, status = text.rpartition("\n")
        return status, body

    def is_up(self):
        self.program.alive()
        return self.status("default/client", f"{API}/api/v2")[0] == "200"

    def authority(self):
        """The mesh's root, as the bootstrap's folder needs it."""
        folder = self.folder / "ca"
        folder.mkdir()
        for name in ("root-1.crt", "root-1.key"):
            status, text = self.run("default/client", "cat", f"/run/heddle-demo/ca/{name}")
            assert status == 0, f"no {name} in the demo"
            (folder / name).write_text(text)
        return folder / "root-1"

    def close(self):
        self.program.stop()
        shutil.rmtree(self.folder)


class Mesh(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.demo = Demo()
        cls.addClassCleanup(cls.demo.close)
        wait(lambda: f"the demo does not come up:\n{cls.demo.program.tail()}", cls.demo.is_up)
        cls.root = cls.demo.authority()

    def envoy(self, pod, identity, api, metadata="{role: client}", table="outbound-http"):
        """An Envoy of this identity in this pod outside the mesh, until the test ends. table: its routes."""
        namespace, account = identity.split("/")
        name, spiffe = f"{namespace}-{account}-{api}", f"spiffe://cluster.local/ns/{namespace}/sa/{account}"
        certificates = certificate(self.demo.folder / name, spiffe, self.root)
        file = certificates / "envoy.yaml"
        file.write_text(bootstrap_for(spiffe, metadata, certificates, api, 9901, "172.18.0.1"))
        command = [PROGRAMS / "heddle", "demo", "exec", "--demo", self.demo.program.process.pid, pod, "--",
                   ENVOY, "-c", file, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
        program = Program(f"envoy-{name}", [str(part) for part in command], self.demo.folder)

        def stop():
            # The pod's next Envoy needs the ports.
            self.demo.run(pod, "curl", "--silent", "--request", "POST", "http://127.0.0.1:9901/quitquitquit")
            program.process.wait(PATIENCE)

        self.addCleanup(stop)

        def routes():
            program.alive()
            return self.stats(pod, f"^http.{table}.rds.{table}.update_success$")

        wait(lambda: f"Envoy gets no routes:\n{program.tail()}", routes)
        wait(lambda: f"Envoy waits: {self.stats(pod, 'warming')}", lambda: not any(self.stats(pod, "(warming_clusters|listeners_warming)$").values()))

    def ask(self, pod, *arguments):
        return self.demo.status(pod, "--proxy", PROXY, *arguments)

    def stats(self, pod, pattern):
        """Statistics of the pod's Envoy that are not zero."""
        _, text = self.demo.run(pod, "curl", "--silent", f"http://127.0.0.1:9901/stats?usedonly&filter={pattern}")
        pairs = [line.rsplit(": ", 1) for line in text.splitlines() if ": " in line]
        return {name: int(value) for name, value in pairs if value.isdigit() and value != "0"}

    def check(self, api):
        pod = "default/outsider"
        self.envoy(pod, "default/client", api)
        shares = {"stable": 0, "canary": 0}
        for _ in range(200):
            status, body = self.ask(pod, f"{API}/api/v2")
            self.assertEqual(status, "200", body)
            told = json.loads(body)
            self.assertEqual(told["identity"], "spiffe://cluster.local/ns/default/sa/client")
            shares["canary" if "canary" in told["pod"] else "stable"] += 1
        print(f"  {api}: {shares}")
        # 20 expected; four and a half standard deviations are 19.
        self.assertTrue(1 <= shares["canary"] <= 39, shares)
        self.assertEqual(self.ask(pod, ADMIN)[0], "403")
        handshakes = self.stats(pod, "^cluster.hbone/production/api-v2.ssl.handshake$")
        self.assertGreater(sum(handshakes.values()), 0)
        self.assertEqual(self.stats(pod, "(update_rejected|ssl.fail_verify_san|ssl.fail_verify_error)$"), {})

    def test_requests_come_in_by_mutual_tls_and_are_split_as_the_route_says_by_delta(self):
        self.check("DELTA_GRPC")

    def test_requests_come_in_by_mutual_tls_and_are_split_as_the_route_says_by_state_of_the_world(self):
        self.check("GRPC")

    def test_a_gateways_envoy_reaches_pods_by_mutual_tls_too(self):
        pod, gateway = "production/edge", "production/my-gateway"
        self.envoy(pod, "production/client", "DELTA_GRPC", f"{{role: gateway, gateway: {gateway}}}", f"gateway/{gateway}/80")
        for _ in range(20):
            # From another pod, as a client from outside would.
            status, body = self.demo.status("default/outsider", "http://10.244.1.110/api/v2")
            self.assertEqual(status, "200", body)
            told = json.loads(body)
            self.assertEqual(told["identity"], "spiffe://cluster.local/ns/production/sa/client")
        self.assertEqual(self.demo.status("default/outsider", "http://10.244.1.110/elsewhere")[0], "404")
        self.assertGreater(sum(self.stats(pod, "^cluster.hbone/production/api-v2.ssl.handshake$").values()), 0)

    def test_policy_lets_in_by_the_identity_of_the_envoy(self):
        pod = "monitoring/edge"
        self.envoy(pod, "monitoring/prometheus", "DELTA_GRPC")
        status, body = self.ask(pod, ADMIN)
        self.assertEqual((status, json.loads(body)["identity"]), ("200", "spiffe://cluster.local/ns/monitoring/sa/prometheus"))
        self.assertEqual(self.ask(pod, ADMIN, "--request", "DELETE")[0], "403")

    def test_an_identity_that_is_another_pods_is_refused(self):
        pod = "default/outsider"
        self.envoy(pod, "monitoring/prometheus", "DELTA_GRPC")
        self.assertEqual(self.ask(pod, ADMIN)[0], "503")
