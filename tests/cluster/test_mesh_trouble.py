"""What goes wrong around Heddle in a cluster harms what it concerns, is said, and is over when it is mended."""

import json
import time
import unittest

import test_mesh_life
from harness import control_plane, definitions, layout, mesh, node, process
from harness.control_plane import kubectl
from harness.layout import NODES
from harness.mesh import say
from harness.process import run, wait_for
from test_mesh_life import LIFE, PROBED, ask

CONFIGURATIONS = "/etc/cni/net.d"


def setUpModule() -> None:
    test_mesh_life.begin((layout.IPV4,))


def tearDownModule() -> None:
    test_mesh_life.tearDownModule()


class Plugins(unittest.TestCase):
    """Others write CNI configurations too. All of this happens on the first node."""

    def cni(self, *command: str) -> str:
        return run(*node.inside(NODES[0]), *command)

    def write(self, file: str, text: str) -> None:
        run(*node.inside(NODES[0]), "tee", f"{CONFIGURATIONS}/{file}", input=text)

    def names_heddle(self, file: str) -> bool:
        return "heddle-cni" in self.cni("cat", f"{CONFIGURATIONS}/{file}")

    def test_1_a_file_that_another_plugin_writes_anew_gets_our_entry_again(self) -> None:
        file = self.cni("ls", CONFIGURATIONS).split()[0]
        original = self.cni("cat", f"{CONFIGURATIONS}/{file}.heddle-original")
        self.write(file, original)
        wait_for("our entry", 20, lambda: self.names_heddle(file))

    def test_2_a_corrupt_file_is_left_and_said_and_mended_when_it_is_whole(self) -> None:
        file = self.cni("ls", CONFIGURATIONS).split()[0]
        whole = self.cni("cat", f"{CONFIGURATIONS}/{file}")
        self.write(file, "{ this is no JSON")
        proxy = next(pod["metadata"]["name"] for pod in mesh.pods(mesh.NAMESPACE, "app.kubernetes.io/component=node-proxy") if pod["spec"]["nodeName"] == "node1")
        wait_for("the complaint", 30, lambda: f"{file} is left as it is" in kubectl("-n", mesh.NAMESPACE, "logs", proxy))
        self.assertEqual(self.cni("cat", f"{CONFIGURATIONS}/{file}"), "{ this is no JSON")
        self.write(file, whole)
        self.assertEqual(ask("client", PROBED).failed, 0)

    def test_3_of_two_plugins_the_one_that_the_runtime_takes_is_chained_to(self) -> None:
        file = self.cni("ls", CONFIGURATIONS).split()[0]
        original = self.cni("cat", f"{CONFIGURATIONS}/{file}.heddle-original")
        # The runtime takes the first by name.
        other = "00-other.conflist"
        self.write(other, original)
        self.addCleanup(self.cni, "rm", "-f", f"{CONFIGURATIONS}/{other}", f"{CONFIGURATIONS}/{other}.heddle-original")
        wait_for("our entry in the other", 20, lambda: self.names_heddle(other))
        wait_for("the first as it was", 20, lambda: not self.names_heddle(file))
        kubectl("-n", LIFE, "delete", "pod", "-l", "app=probed")
        mesh.rolled_out(LIFE, "deployment/probed")
        self.assertEqual(ask("client", PROBED).failed, 0)
        self.cni("rm", f"{CONFIGURATIONS}/{other}")
        wait_for("our entry in the first again", 20, lambda: self.names_heddle(file))
        kubectl("-n", LIFE, "delete", "pod", "-l", "app=probed")
        mesh.rolled_out(LIFE, "deployment/probed")
        self.assertEqual(ask("client", PROBED).failed, 0)


class Server(unittest.TestCase):
    """The API server goes, comes, and refuses."""

    def test_1_without_the_gateway_api_services_stay_in_the_mesh(self) -> None:
        names = [name for name in kubectl("get", "crd", "-o", "name").split() if name.endswith(".gateway.networking.k8s.io")]
        known = [json.loads(kubectl("get", name, "-o", "json")) for name in names]
        definitions.delete(kubectl, names)
        try:
            wait_for("the complaint", 60, lambda: "gateway.networking.k8s.io" in self.problems())
            say(self.problems().strip())
            kubectl("-n", LIFE, "delete", "pod", "-l", "app=probed")
            mesh.rolled_out(LIFE, "deployment/probed")
            self.assertEqual(ask("client", PROBED, count=20).failed, 0)
            tally = ask("client", "http://member-0.member:8080/")
            self.assertEqual((tally.failed, tally.identities), (0, {f"spiffe://cluster.local/ns/{LIFE}/sa/default"}), tally.errors)
        finally:
            for definition in known:
                definition["metadata"] = {key: value for key, value in definition["metadata"].items() if key in ("name", "annotations", "labels")}
                del definition["status"]
                mesh.apply(json.dumps(definition))
        kubectl("wait", "--for=condition=Established", *names, "--timeout=60s")
        mesh.apply(json.dumps({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "away", "namespace": LIFE},
            "spec": {"parentRefs": [{"group": "", "kind": "Service", "name": "probed", "port": 80}],
                     "rules": [{"backendRefs": [{"name": "nowhere", "port": 80}]}]},
        }))
        self.addCleanup(kubectl, "-n", LIFE, "delete", "httproute", "away")
        wait_for("the route's effect", 60, lambda: ask("client", PROBED, count=1).failed == 1)
        wait_for("no more complaint", 60, lambda: "gateway.networking.k8s.io" not in self.problems())

    def problems(self) -> str:
        pod = mesh.pods(mesh.NAMESPACE, "app.kubernetes.io/component=control-plane")[0]["metadata"]["name"]
        return kubectl("get", "--raw", f"/api/v1/namespaces/{mesh.NAMESPACE}/pods/{pod}:15014/proxy/debug/problems")

    def test_2_without_rights_what_is_known_stays_and_comes_back_with_them(self) -> None:
        binding = kubectl("get", "clusterrolebinding", "heddle-control-plane", "-o", "yaml")
        kubectl("delete", "clusterrolebinding", "heddle-control-plane")
        try:
            time.sleep(5)
            self.assertEqual(ask("client", PROBED, count=20).failed, 0)
        finally:
            mesh.apply("\n".join(line for line in binding.splitlines() if not line.strip().startswith(("resourceVersion:", "uid:", "creationTimestamp:"))))
        kubectl("-n", LIFE, "scale", "deployment/probed", "--replicas=2")
        mesh.rolled_out(LIFE, "deployment/probed")
        wait_for("the new pod is enrolled", 30, lambda: all(mesh.condition(pod["metadata"]["name"], LIFE).get("status") == "True" for pod in mesh.pods(LIFE, "app=probed")))

    def test_3_traffic_goes_on_while_the_api_server_is_away_for_a_minute(self) -> None:
        load = mesh.Load(LIFE, "api-away", PROBED, rate=50)
        load.wait_for(50)
        process.stop(["kube-apiserver"])
        time.sleep(60)
        control_plane.start_api_server((layout.IPV4,))
        control_plane.wait_ready()
        tally = load.end()
        say(f"API server away for a minute: {tally.ok} answered, {tally.failed} lost")
        self.assertEqual(tally.failed, 0, tally.errors)


if __name__ == "__main__":
    unittest.main(verbosity=2)
