"""What a pod's life is like in the mesh: probes, logs, Jobs, names, neighbours outside of it, webhooks, coming and going."""

import base64
import json
import subprocess
import time
import unittest

from harness import build, layout, mesh, network, node, pki
from harness.control_plane import kubectl
from harness.layout import NODES
from harness.mesh import say
from harness.process import ClusterError, run, wait_for

LIFE = "life"
PROBED = "http://probed/"
FAMILIES = network.families()


def load_tests(loader: unittest.TestLoader, _tests: object, _pattern: object) -> unittest.TestSuite:
    """The order: life, enrolment, and the end."""
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in (Life, Enrolment, Uninstalled))


def setUpModule() -> None:
    begin(FAMILIES)


def begin(families: tuple[layout.Family, ...]) -> None:
    """A cluster with Heddle and the pods of this file."""
    mesh.start(families)
    mesh.install()
    kubectl("apply", "--server-side", "-f", layout.SOURCE / "testdata/life.yaml")
    mesh.rolled_out(LIFE, "deployment/probed", "statefulset/member")
    kubectl("-n", LIFE, "wait", "--for=condition=Ready", "pod/client", "pod/host", "pod/outside", "--timeout=60s")


def tearDownModule() -> None:
    mesh.end()


def ask(pod: str, url: str, count: int = 5) -> mesh.Tally:
    return mesh.ask(LIFE, pod, url, count=count)


class Life(unittest.TestCase):
    """Nothing that Kubernetes does with a pod is disturbed, and nothing of it gets around the policy."""

    def test_probes_of_every_sort_pass_where_no_plain_text_is_taken(self) -> None:
        pod = mesh.pods(LIFE, "app=probed")[0]
        self.assertEqual(mesh.condition(pod["metadata"]["name"], LIFE)["status"], "True")
        time.sleep(3)
        statuses = mesh.get("pod", pod["metadata"]["name"], "-n", LIFE)["status"]["containerStatuses"]
        self.assertEqual([(each["ready"], each["restartCount"]) for each in statuses], [(True, 0)] * 2)

    def test_a_job_completes_and_its_first_packet_was_in_the_mesh(self) -> None:
        kubectl("apply", "--server-side", "-f", layout.SOURCE / "testdata/once.yaml")
        kubectl("-n", LIFE, "wait", "--for=condition=Complete", "job/once", "--timeout=60s")
        log = kubectl("-n", LIFE, "logs", "deployment/probed", "-c", "http")
        for path in ("/first", "/then"):
            self.assertIn(f"GET {path} from", log)

    def test_members_are_reached_by_their_own_names(self) -> None:
        for index in (0, 1):
            tally = ask("client", f"http://member-{index}.member.{LIFE}.svc.cluster.local:8080/")
            self.assertEqual((tally.failed, tally.pods), (0, {f"member-{index}"}), tally.errors)
            self.assertEqual(tally.identities, {f"spiffe://cluster.local/ns/{LIFE}/sa/default"})

    def test_a_headless_name_reaches_members_with_mutual_tls(self) -> None:
        tally = ask("client", f"http://member.{LIFE}:8080/", count=20)
        self.assertEqual((tally.failed, tally.identities), (0, {f"spiffe://cluster.local/ns/{LIFE}/sa/default"}), tally.errors)

    def test_status_has_a_row_for_each_node_proxy_whichever_replica_it_speaks_to(self) -> None:
        wait_for("all in sync", 30, lambda: all(not client["pending"] for client in self.clients()))
        proxies = {client["name"]: client for client in self.clients()}
        self.assertEqual(set(proxies), {each.name for each in NODES})
        for client in proxies.values():
            self.assertEqual(client["role"], "node")
            self.assertTrue(all(each["wanted"] == each["synced"] for each in client["types"].values()), client)
        for line in mesh.heddle("status").splitlines():
            say(line)

    def test_config_shows_what_a_node_proxy_wants_and_runs(self) -> None:
        found = json.loads(mesh.heddle("config", "routes", "node1", "--name", f"{LIFE}/probed:80", "--output", "json"))
        (item,) = found["items"]
        self.assertEqual((item["state"], item["wanted"]), ("synced", item["running"]))
        self.assertEqual(item["wanted"]["resource"]["@type"], "type.googleapis.com/envoy.config.route.v3.RouteConfiguration")
        self.assertEqual(mesh.heddle("config", "listeners", "node1", "--diff"), "")
        with self.assertRaisesRegex(ClusterError, "node9.*heddle status"):
            mesh.heddle("config", "listeners", "node9")

    def clients(self) -> list[dict]:
        return json.loads(mesh.heddle("status", "--output", "json"))["items"]

    def test_logs_and_exec_and_port_forward_work(self) -> None:
        member = "member-0"
        self.assertIn("name", mesh.inside(LIFE, "client", "/heddle", "probe", "resolve", "probed"))
        command = [build.BIN / "kubectl", f"--kubeconfig={layout.KUBECONFIG}", "-n", LIFE, "port-forward", member, ":8080"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
            self.addCleanup(forward.kill)
            port = forward.stdout.readline().split(" ->")[0].rsplit(":", 1)[1]
            answer = run(build.BIN / "probe", "get", f"http://127.0.0.1:{port}/")
            forward.kill()
        self.assertEqual(json.loads(answer)["pod"], member)
        self.assertIn("GET /ready from", kubectl("-n", LIFE, "logs", "deployment/probed", "-c", "http"))

    def test_pods_outside_reach_only_what_takes_plain_text(self) -> None:
        kubectl("-n", LIFE, "annotate", "pod", "member-1", "heddle.dev/mtls=permissive")
        self.addCleanup(kubectl, "-n", LIFE, "annotate", "pod", "member-1", "heddle.dev/mtls-")
        address = {name: mesh.get("pod", name, "-n", LIFE)["status"]["podIP"] for name in ("member-0", "member-1")}
        for client in ("outside", "host"):
            def taken(client: str = client) -> bool:
                return ask(client, f"http://{address['member-1']}:8080/", count=1).failed == 0
            wait_for(f"member-1 takes plain text of {client}", 20, taken)
        refused = ask("outside", f"http://{address['member-0']}:8080/", count=2)
        self.assertEqual(refused.ok, 0)

    def test_pods_of_the_mesh_reach_what_is_outside(self) -> None:
        outside = mesh.get("pod", "outside", "-n", LIFE)["status"]["podIP"]
        tally = ask("client", f"http://{outside}:8080/")
        self.assertEqual((tally.failed, tally.identities), (0, {""}), tally.errors)
        host = mesh.get("pod", "host", "-n", LIFE)["status"]["hostIP"]
        self.assertEqual(ask("client", f"http://{host}:18080/").failed, 0)

    def test_a_network_policy_is_enforced_for_the_client_that_it_names(self) -> None:
        mesh.apply(json.dumps({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "probed", "namespace": LIFE},
            "spec": {"podSelector": {"matchLabels": {"app": "probed"}}, "policyTypes": ["Ingress"],
                     "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "nobody"}}}]}]},
        }))
        self.addCleanup(kubectl, "-n", LIFE, "delete", "networkpolicy", "probed", "--ignore-not-found")
        wait_for("the refusal", 20, lambda: ask("client", PROBED, count=1).failed == 1)
        self.assertTrue(mesh.pods(LIFE, "app=probed")[0]["status"]["containerStatuses"][0]["ready"], "the kubelet is always let in")
        kubectl("-n", LIFE, "delete", "networkpolicy", "probed")
        wait_for("the answer", 20, lambda: ask("client", PROBED, count=1).ok == 1)


    @unittest.skipIf(layout.IPV6 not in FAMILIES, "this machine has no IPv6")
    def test_pods_talk_over_ipv6_with_mutual_tls_and_by_policy(self) -> None:
        mesh.apply(json.dumps({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "six", "namespace": LIFE},
            "spec": {"selector": {"app": "member"}, "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"], "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }))
        self.addCleanup(kubectl, "-n", LIFE, "delete", "service", "six")
        of = {name: [entry["ip"] for entry in mesh.get("pod", name, "-n", LIFE)["status"]["podIPs"]] for name in ("client", "member-0")}
        six = {name: next(address for address in addresses if ":" in address) for name, addresses in of.items()}
        wait_for("an answer by IPv6", 20, lambda: ask("client", "http://six/", count=1).ok == 1)
        for url in ("http://six/", f"http://[{six['member-0']}]:8080/"):
            tally = ask("client", url, count=20)
            self.assertEqual((tally.failed, tally.identities), (0, {f"spiffe://cluster.local/ns/{LIFE}/sa/default"}), tally.errors)
            self.assertEqual(tally.clients, {six["client"]})
        self.assertEqual(ask("outside", f"http://[{six['member-0']}]:8080/", count=2).ok, 0, "no plain text is taken, by IPv6 either")

    def test_the_api_server_reaches_a_webhook_that_takes_plain_text_and_no_other(self) -> None:
        self.webhook()
        def created() -> str:
            """The API server's complaint, if it has one."""
            try:
                kubectl("-n", LIFE, "create", "configmap", "seen")
            except ClusterError as error:
                return str(error)
            kubectl("-n", LIFE, "delete", "configmap", "seen")
            return ""
        self.assertIn("failed calling webhook", created())
        kubectl("-n", LIFE, "annotate", "pod", "hook", "heddle.dev/mtls=permissive")
        wait_for("the webhook's answer", 30, lambda: created() == "")
        # From its own address: neither a node's nor a pod's.
        self.assertIn(f"review from {layout.API_ADDRESS}", kubectl("-n", LIFE, "logs", "hook"))

    def webhook(self) -> None:
        """A webhook in a pod of the mesh, asked for each ConfigMap of the name `seen`."""
        pki.issue("hook", "/CN=hook", [f"hook.{LIFE}.svc"])
        kubectl("-n", LIFE, "create", "secret", "tls", "hook", f"--cert={pki.certificate('hook')}", f"--key={pki.key('hook')}")
        meta = {"name": "hook", "namespace": LIFE}
        container = {
            "name": "hook", "image": layout.PROBE_IMAGE, "imagePullPolicy": "Never", "command": ["/probe", "webhook", ":8443", "/tls/tls.crt", "/tls/tls.key"],
            "volumeMounts": [{"name": "tls", "mountPath": "/tls"}], "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        }
        for made in (
            {"apiVersion": "v1", "kind": "Pod", "metadata": {**meta, "labels": {"app": "hook"}},
             "spec": {"terminationGracePeriodSeconds": 0, "containers": [container], "volumes": [{"name": "tls", "secret": {"secretName": "hook"}}]}},
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": {"app": "hook"}, "ports": [{"port": 443, "targetPort": 8443}]}},
        ):
            mesh.apply(json.dumps(made))
        kubectl("-n", LIFE, "wait", "--for=condition=Ready", "pod/hook", "--timeout=60s")
        mesh.apply(json.dumps({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "hook"},
            "webhooks": [{
                "name": "hook.life.test", "failurePolicy": "Fail", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 2,
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}],
                "matchConditions": [{"name": "seen", "expression": "object.metadata.name == 'seen'"}],
                "clientConfig": {"caBundle": base64.b64encode(pki.CA.read_bytes()).decode(), "service": {"name": "hook", "namespace": LIFE, "port": 443}},
            }],
        }))
        self.addCleanup(kubectl, "delete", "validatingwebhookconfiguration", "hook")


class Enrolment(unittest.TestCase):
    """Pods come into the mesh and leave it as they run."""

    def test_a_running_pod_is_enrolled_and_released_without_a_restart(self) -> None:
        before = mesh.get("pod", "outside", "-n", LIFE)["status"]["containerStatuses"][0]
        kubectl("-n", LIFE, "label", "pod", "outside", "heddle.dev/mesh=enabled", "--overwrite")
        wait_for("it says that it is enrolled", 20, lambda: mesh.condition("outside", LIFE).get("status") == "True")
        tally = ask("outside", "http://member-0.member:8080/")
        self.assertEqual((tally.failed, tally.identities), (0, {f"spiffe://cluster.local/ns/{LIFE}/sa/default"}), tally.errors)
        kubectl("-n", LIFE, "label", "pod", "outside", "heddle.dev/mesh=disabled", "--overwrite")
        wait_for("it says that it is released", 20, lambda: mesh.condition("outside", LIFE).get("reason") == "Released")
        self.assertEqual(ask("outside", "http://member-0.member:8080/", count=1).ok, 0)
        after = mesh.get("pod", "outside", "-n", LIFE)["status"]["containerStatuses"][0]
        self.assertEqual((after["containerID"], after["restartCount"]), (before["containerID"], 0))

    def test_an_address_that_is_given_on_brings_no_identity_with_it(self) -> None:
        kubectl("-n", LIFE, "create", "serviceaccount", "other")
        first = self.short_lived("heir-0", "default")
        kubectl("-n", LIFE, "delete", "pod", "heir-0", "--now")
        # host-local gives addresses in turn: it is told that the last one was the one before.
        head, _, last = first.rpartition(".")
        run(*node.inside(NODES[1]), "tee", "/run/cni/addresses/pods/last_reserved_ip.0", input=f"{head}.{int(last) - 1}")
        second = self.short_lived("heir-1", "other")
        self.addCleanup(kubectl, "-n", LIFE, "delete", "pod", "heir-1", "--now")
        self.assertEqual(second, first)
        tally = ask("heir-1", "http://member-0.member:8080/")
        self.assertEqual((tally.failed, tally.identities), (0, {f"spiffe://cluster.local/ns/{LIFE}/sa/other"}), tally.errors)

    def short_lived(self, name: str, account: str) -> str:
        mesh.apply(json.dumps({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": LIFE},
            "spec": {"nodeName": "node2", "serviceAccountName": account, "terminationGracePeriodSeconds": 0,
                     "containers": [{"name": "client", "image": mesh.IMAGE, "imagePullPolicy": "Never", "command": ["/heddle", "app", "idle"]}]},
        }))
        kubectl("-n", LIFE, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        return mesh.get("pod", name, "-n", LIFE)["status"]["podIP"]


class Uninstalled(unittest.TestCase):
    """Everything is as it was before the mesh came."""

    def test_uninstalling_leaves_pods_their_network_and_nothing_of_ours(self) -> None:
        mesh.uninstall()
        for each in NODES:
            files = run(*node.inside(each), "ls", "/etc/cni/net.d", "/opt/cni/bin")
            self.assertNotIn("heddle", files)
            self.assertNotIn("heddle-cni", run(*node.inside(each), "sh", "-c", "cat /etc/cni/net.d/*"))
        wait_for("plain text between the pods", 20, lambda: ask("client", PROBED).failed == 0)
        self.assertEqual(ask("client", "http://member-0.member:8080/", count=20).failed, 0)
        for pod in ("client", "member-0"):
            self.assertEqual(self.tables(pod), "", f"{pod} has packet rules of ours")
        kubectl("-n", LIFE, "delete", "pod", "member-0", "--now")
        mesh.rolled_out(LIFE, "statefulset/member")
        self.assertEqual(ask("client", "http://member-0.member:8080/").failed, 0)

    def tables(self, pod: str) -> str:
        found = mesh.get("pod", pod, "-n", LIFE)
        on = next(each for each in NODES if each.name == found["spec"]["nodeName"])
        address = found["status"]["podIP"]
        script = (f"for ns in /run/netns/*; do nsenter --net=$ns sh -c \"ip -4 addr | grep -q 'inet {address}/' && "
                  "nft list tables | grep heddle || true\"; done")
        try:
            return run(*node.inside(on), "sh", "-c", script).strip()
        except ClusterError as error:
            return str(error)


if __name__ == "__main__":
    unittest.main(verbosity=2)
