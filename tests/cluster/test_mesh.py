"""Heddle on a real Kubernetes: installed by Helm, under traffic, through rollouts and failures, and gone again.

`scripts/cluster.sh test` runs this; it ends a running cluster first. Times are printed and not judged.
"""

import os
import socket
import subprocess
import time
import unittest

from harness import layout, mesh
from harness.control_plane import kubectl
from harness.mesh import say
from harness.process import wait_for

SHOP = "shop"
MARKER = "this-is-plain-text-4711"


def split(stable: int, canary: int) -> None:
    text = (layout.SOURCE / "testdata/split.yaml").read_text()
    mesh.apply(text.replace("STABLE", str(stable)).replace("CANARY", str(canary)))


def setUpModule() -> None:
    mesh.start()


def tearDownModule() -> None:
    mesh.end()


def load_tests(loader: unittest.TestLoader, _tests: object, _pattern: object) -> unittest.TestSuite:
    """The order: installed, used, disturbed, gone."""
    cases = (Installed, Canary, Wire, Disturbed, Conformance)
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in cases)


class Installed(unittest.TestCase):
    """The first minute of a user."""

    @classmethod
    def setUpClass(cls) -> None:
        began = time.monotonic()
        mesh.install()
        say(f"helm install: {time.monotonic() - began:.1f} s")
        kubectl("apply", "--server-side", "-f", layout.SOURCE / "testdata/shop.yaml")
        mesh.rolled_out(SHOP, "deployment/cart-v1", "deployment/cart-v2")
        kubectl("-n", SHOP, "wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
        cls.first = mesh.ask(SHOP, "client", "http://cart/")
        say(f"from helm install to the first answer through the mesh, image loaded: {time.monotonic() - began:.1f} s")

    def test_the_first_request_is_answered_with_the_identity_seen(self) -> None:
        self.assertEqual((self.first.ok, self.first.failed), (1, 0), self.first.errors)
        self.assertEqual(self.first.identities, {"spiffe://cluster.local/ns/shop/sa/client"})

    def test_helm_test_passes(self) -> None:
        say(mesh.helm("test", mesh.RELEASE, f"--namespace={mesh.NAMESPACE}", "--logs", "--timeout=120s"))

    def test_every_pod_of_the_mesh_says_that_it_is_enrolled(self) -> None:
        for pod in mesh.pods(SHOP):
            name = pod["metadata"]["name"]
            wait_for(f"{name} says so", 30, lambda name=name: mesh.condition(name, SHOP).get("status") == "True")

    def test_a_pods_own_token_gets_it_a_certificate_of_its_own_identity_and_of_no_other(self) -> None:
        kubectl("apply", "--server-side", "-f", layout.SOURCE / "testdata/token.yaml")
        self.addCleanup(kubectl, "-n", SHOP, "delete", "pod", "speaker", "--now")

        def logs(container: str) -> str:
            return kubectl("-n", SHOP, "logs", "speaker", "-c", container)

        def has_ended() -> bool:
            statuses = mesh.get("pod", "speaker", "-n", SHOP)["status"].get("containerStatuses", [])
            return len(statuses) == 2 and all("terminated" in status["state"] for status in statuses)

        wait_for("both answers", 60, has_ended)
        self.assertIn("the certificate counts until", logs("own"))
        self.assertIn("may not have a certificate for spiffe://cluster.local/ns/heddle-system/sa/heddle-node-proxy", logs("another"))

    def test_a_pod_outside_the_mesh_says_nothing(self) -> None:
        for pod in mesh.pods("kube-system"):
            self.assertEqual(mesh.condition(pod["metadata"]["name"], "kube-system"), {})


class Canary(unittest.TestCase):
    """Weights, from the apply to the share that clients see."""

    @classmethod
    def tearDownClass(cls) -> None:
        kubectl("-n", SHOP, "delete", "httproute", "cart", "--ignore-not-found")

    def test_a_share_of_10_percent_is_seen_after_the_apply_and_kept(self) -> None:
        split(100, 0)
        wait_for("the route is accepted", 30, self.accepted)
        load = mesh.Load(SHOP, "canary-load", "http://cart/")
        self.addCleanup(load.delete)
        load.wait_for(200)
        self.assertEqual(set(load.so_far().versions), {"v1"})
        split(90, 10)
        applied = time.time()
        seen = wait_for("an answer of v2", 30, lambda: load.first('"version":"v2"'))
        say(f"the canary's first answer: {1000 * (seen - applied):.0f} ms after kubectl apply came back (clients report every 100 ms)")
        self.assertEqual(load.end().failed, 0)
        tally = mesh.ask(SHOP, "client", "http://cart/", count=5000)
        say(f"90/10: {tally.share('v2'):.2f} % of {tally.ok}, {tally.failed} failed")
        self.assertEqual((tally.ok, tally.failed), (5000, 0), tally.errors)
        self.assertAlmostEqual(tally.share("v2"), 10, delta=1)

    def accepted(self) -> bool:
        parents = mesh.get("httproute", "cart", "-n", SHOP).get("status", {}).get("parents", [])
        return any(each["type"] == "Accepted" and each["status"] == "True" for parent in parents for each in parent["conditions"])


class Wire(unittest.TestCase):
    """What goes over the wire between nodes, and what the server sees of its client."""

    def frames(self, url: str, namespace: str) -> int:
        """How many frames on the client's link hold the marker while requests with it go out."""
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as link:
            link.bind((layout.NODES[2].link, 0))
            link.settimeout(0.5)
            tally = mesh.ask(namespace, "client", url, f"--header=x-marker: {MARKER}", count=50)
            self.assertEqual((tally.ok, tally.failed), (50, 0), tally.errors)
            found = 0
            try:
                while True:
                    found += MARKER.encode() in link.recv(65536)
            except TimeoutError:
                return found

    def test_nothing_is_readable_between_nodes(self) -> None:
        self.assertEqual(self.frames("http://cart/", SHOP), 0)

    def test_without_the_mesh_it_would_be(self) -> None:
        mesh.apply((layout.SOURCE / "testdata/shop.yaml").read_text().replace("shop", "plain").replace("heddle.dev/mesh: enabled", "heddle.dev/mesh: disabled"))
        self.addCleanup(kubectl, "delete", "namespace", "plain", "--wait=false")
        mesh.rolled_out("plain", "deployment/cart-v1", "deployment/cart-v2")
        kubectl("-n", "plain", "wait", "--for=condition=Ready", "pod/client", "--timeout=60s")
        self.assertGreater(self.frames("http://cart/", "plain"), 0)

    def test_the_server_sees_the_clients_own_address(self) -> None:
        own = mesh.get("pod", "client", "-n", SHOP)["status"]["podIP"]
        self.assertEqual(mesh.ask(SHOP, "client", "http://cart/", count=20).clients, {own})


class Disturbed(unittest.TestCase):
    """Everything that is replaced or killed while 200 requests a second go on: none is lost."""

    @classmethod
    def setUpClass(cls) -> None:
        split(50, 50)

    def both(self, name: str) -> tuple[mesh.Load, mesh.Load]:
        """A client that keeps its connections and one that opens a new one for each request."""
        kept = mesh.Load(SHOP, f"{name}-kept", "http://cart/", rate=100)
        new = mesh.Load(SHOP, f"{name}-new", "http://cart/", "--new-connections", rate=100)
        for load in (kept, new):
            self.addCleanup(load.delete)
            load.wait_for(100)
        return kept, new

    def lossless(self, name: str, disturb: object) -> None:
        kept, new = self.both(name)
        began = time.monotonic()
        disturb()
        took = time.monotonic() - began
        for kind, load in (("kept", kept), ("new", new)):
            tally = load.end()
            say(f"{name}: {took:.0f} s, {kind} connections: {tally.ok} answered, {tally.failed} lost")
            self.assertEqual(tally.failed, 0, f"{tally.errors}\n{mesh.refusals()}" if tally.failed else "")

    def test_1_both_deployments_are_restarted(self) -> None:
        self.lossless("restart", lambda: mesh.roll(SHOP, "deployment/cart-v1", "deployment/cart-v2"))

    def test_2_the_leader_is_killed(self) -> None:
        self.lossless("leader", self.kill_leader)

    def kill_leader(self) -> None:
        def leader() -> str:
            # The pod's name, and what tells one run from the next.
            return mesh.get("lease", "heddle-control-plane", "-n", mesh.NAMESPACE)["spec"].get("holderIdentity", "").partition("_")[0]
        old = leader()
        kubectl("-n", mesh.NAMESPACE, "delete", "pod", old, "--grace-period=0", "--force")
        wait_for("another leader", 60, lambda: leader() not in ("", old))
        mesh.rolled_out(mesh.NAMESPACE, mesh.CONTROL_PLANE)

    def test_3_the_node_proxies_are_rolled(self) -> None:
        self.lossless("roll", lambda: mesh.roll(mesh.NAMESPACE, mesh.NODE_PROXY))

    def test_4_helm_upgrades(self) -> None:
        self.lossless("upgrade", lambda: (mesh.upgrade("--set", "controlPlane.podAnnotations.revision=two", "--set", "nodeProxy.podAnnotations.revision=two"),
                                          mesh.rolled_out(mesh.NAMESPACE, mesh.CONTROL_PLANE, mesh.NODE_PROXY)))


class Conformance(unittest.TestCase):
    """The Gateway API's own tests."""

    def test_every_mesh_test_of_the_suite_passes_and_none_is_skipped(self) -> None:
        command = [mesh.ROOT / "scripts/conformance.sh", "--profile", "mesh", "--no-documents"]
        done = subprocess.run(command, env={**os.environ, "KUBECONFIG": str(layout.KUBECONFIG)}, stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout.splitlines()[-1:]), (0, ["23 passed, 0 failed"]), done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
