"""The cluster does what a cluster does, and leaves nothing. `scripts/cluster.sh test` runs this; it ends a running cluster first."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import unittest
from ipaddress import ip_address
from pathlib import Path

from harness import build, cluster, images, layout, network, node, tunables
from harness.control_plane import kubectl
from harness.layout import NODES
from harness.process import ClusterError, recorded, run, wait_for

FAMILIES = network.families()

TRIES = 100
"""Requests until every one of three endpoints has answered: each is missed by all of them once in 10^17 runs."""


def traces() -> list[str]:
    """Everything on this machine that only a cluster makes, found without the driver's records. Others' links and mounts are let be."""
    own = re.compile(rf"{layout.PREFIX}(cluster|node\d|n\d)\b|{layout.STATE}")
    links = [f"link {link['ifname']}" for link in json.loads(run("ip", "-json", "link"))]
    namespaces = [f"namespace {line}" for line in run("ip", "netns", "list").splitlines()]
    mounts = [f"mount {line.split()[4]}" for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    groups = [f"cgroup {path}" for path in Path("/sys/fs/cgroup").glob(f"**/{layout.PREFIX}node*")]
    routes = [f"route {line}" for line in run("ip", "route", "show", "table", "all").splitlines() if line.split()[0].startswith(("10.243.", "10.244."))]
    rules = [f"packet rule {line}" for line in run("iptables-save").splitlines() if re.search("KUBE-|CNI-", line)]
    state = [f"folder {layout.STATE}"] if layout.STATE.exists() else []
    named = [trace for trace in [*links, *namespaces, *mounts] if own.search(trace)]
    return [*named, *groups, *routes, *rules, *state, *(f"program {path}" for path in sorted(programs()))]


def programs() -> set[str]:
    """Command lines of the cluster's processes: they name its state, or the folder with a node's programs."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(layout.STATE) in line or str(layout.NODE_PROGRAMS) in line:
            found.add(line)
    return found


def url(address: str, port: int) -> str:
    return f"http://[{address}]:{port}/" if ":" in address else f"http://{address}:{port}/"


def setUpModule() -> None:
    global settings
    cluster.down()
    settings = tunables.read()
    cluster.prepare()
    started = time.monotonic()
    cluster.up(FAMILIES)
    print(f"up, with everything built: {time.monotonic() - started:.1f} s", file=sys.stderr)


def tearDownModule() -> None:
    cluster.down()


def load_tests(loader: unittest.TestLoader, _tests: object, _pattern: object) -> unittest.TestSuite:
    """The order: what is up, what it does, and how it ends."""
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in (Images, Up, Pods, Down))


class Images(unittest.TestCase):
    def test_the_same_program_gives_the_same_image(self) -> None:
        image = images.Image("cluster.test/reproducible:1", build.BIN / "probe", ("serve", ":1"))
        self.addCleanup(image.tarball.unlink, missing_ok=True)
        first = images.write(image).read_bytes()
        self.assertEqual(first, images.write(image).read_bytes())

    def test_a_broken_image_is_refused_with_the_nodes_name(self) -> None:
        with self.assertRaisesRegex(ClusterError, "node1 did not take"):
            node.load(NODES[0], Path(__file__))


class Up(unittest.TestCase):
    def test_three_nodes_run_the_version_that_was_built(self) -> None:
        server = json.loads(kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
        known = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
        self.assertIn(f"k8s.io/kubernetes {server} ", (layout.SOURCE / "go/kubernetes/go.mod").read_text())
        self.assertEqual({entry["metadata"]["name"]: entry["status"]["nodeInfo"]["kubeletVersion"] for entry in known}, {each.name: server for each in NODES})

    def test_up_again_changes_nothing(self) -> None:
        running = recorded()
        self.assertEqual(cluster.up(), layout.KUBECONFIG)
        self.assertEqual(recorded(), running)

    def test_every_component_has_a_log(self) -> None:
        logs = {path.stem for path in layout.LOGS.iterdir()}
        self.assertEqual({name for name in cluster.expected() if not name.endswith("-init")} - logs, set())

    def test_a_nodes_files_are_its_own(self) -> None:
        run(*node.inside(NODES[0]), "touch", "/etc/cni/net.d/mine", "/var/lib/mine", "/run/mine")
        self.addCleanup(run, *node.inside(NODES[0]), "rm", "/etc/cni/net.d/mine", "/var/lib/mine", "/run/mine")
        for path in ("/etc/cni/net.d/mine", "/var/lib/mine", "/run/mine"):
            self.assertFalse(Path(path).exists())
            run(*node.inside(NODES[1]), "test", "!", "-e", path)

    def test_helm_reaches_the_api_server(self) -> None:
        run(build.BIN / "helm", f"--kubeconfig={layout.KUBECONFIG}", "list", "--all-namespaces")


class Pods(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        kubectl("apply", "--server-side", "-f", layout.SOURCE / "testdata/probe.yaml")
        kubectl("-n", "cluster-test", "rollout", "status", "daemonset/probe", "--timeout=60s")
        pods = json.loads(kubectl("-n", "cluster-test", "get", "pods", "-l", "app=probe", "-o", "json"))["items"]
        cls.pods = {pod["spec"]["nodeName"]: pod["metadata"]["name"] for pod in pods}
        cls.addresses = {pod["spec"]["nodeName"]: [entry["ip"] for entry in pod["status"]["podIPs"]] for pod in pods}
        service = json.loads(kubectl("-n", "cluster-test", "get", "service", "probe", "-o", "json"))
        cls.service = service["spec"]["clusterIPs"]

    @classmethod
    def tearDownClass(cls) -> None:
        kubectl("delete", "namespace", "cluster-test", "--timeout=60s")

    def inside(self, host: str, *command: str) -> str:
        return kubectl("-n", "cluster-test", "exec", self.pods[host], "--", "/probe", *command)

    def test_each_node_has_a_pod_with_an_address_of_the_node(self) -> None:
        self.assertEqual(set(self.pods), {each.name for each in NODES})
        for each in NODES:
            for address, family in zip(self.addresses[each.name], FAMILIES, strict=True):
                self.assertIn(ip_address(address), each.pods(family))

    def test_names_of_services_resolve_on_every_node(self) -> None:
        for host in self.pods:
            for name in ("probe", "probe.cluster-test", "probe.cluster-test.svc.cluster.local"):
                self.assertEqual(self.inside(host, "lookup", name).split(), sorted(self.service))

    def test_other_names_do_not_exist(self) -> None:
        with self.assertRaisesRegex(ClusterError, "no such host"):
            self.inside("node1", "lookup", "example.com")

    def test_a_service_reaches_its_pods_on_every_node(self) -> None:
        for host in self.pods:
            for address in self.service:
                self.assertEqual(self.answering(host, url(address, 80)), set(self.pods.values()))

    def answering(self, host: str, address: str) -> set[str]:
        """The pods that answer at an address, asked until all have."""
        seen: set[str] = set()
        for _ in range(TRIES):
            seen.add(self.inside(host, "get", address).split()[0])
            if len(seen) == len(self.pods):
                break
        return seen

    def test_a_server_sees_its_clients_own_address(self) -> None:
        for client in self.pods:
            for server in self.pods:
                for own, other in zip(self.addresses[client], self.addresses[server], strict=True):
                    answer = self.inside(client, "get", url(other, 8080)).split()
                    self.assertEqual(answer, [self.pods[server], own])

    def test_logs_show_what_the_container_wrote(self) -> None:
        for host in self.pods:
            self.inside(host, "get", url(self.addresses[host][0], 8080) + "seen-in-the-log")
            line = f"GET /seen-in-the-log from {self.addresses[host][0]}"
            wait_for(f"the line in {host}'s log", 20, lambda: line in kubectl("-n", "cluster-test", "logs", self.pods[host]))

    def test_exec_gives_back_a_failure(self) -> None:
        with self.assertRaisesRegex(ClusterError, "usage: probe"):
            self.inside("node2", "nonsense")

    def test_the_api_server_reaches_pods_as_it_must_for_webhooks(self) -> None:
        for host, pod in self.pods.items():
            answer = kubectl("get", "--raw", f"/api/v1/namespaces/cluster-test/pods/{pod}:8080/proxy/")
            self.assertEqual(answer.split()[0], pod)

    def test_port_forward_carries_a_request(self) -> None:
        command = [build.BIN / "kubectl", f"--kubeconfig={layout.KUBECONFIG}", "-n", "cluster-test", "port-forward", self.pods["node3"], ":8080"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
            self.addCleanup(forward.kill)
            port = forward.stdout.readline().split(" ->")[0].rsplit(":", 1)[1]
            answer = run(build.BIN / "probe", "get", f"http://127.0.0.1:{port}/")
            forward.kill()
        self.assertEqual(answer.split()[0], self.pods["node3"])


class Down(unittest.TestCase):
    def test_a_damaged_cluster_is_noticed_and_removed_without_a_trace(self) -> None:
        os.kill(recorded()["kube-scheduler"], signal.SIGKILL)
        wait_for("the scheduler's end", 20, lambda: cluster.missing() == ["kube-scheduler"])
        self.assertGreater(len(traces()), len(layout.NODES))
        cluster.down()
        self.assertEqual((cluster.left(), traces()), ([], []))
        self.assertEqual(tunables.read(), settings)
        with self.assertRaisesRegex(ClusterError, "node1 does not run"):
            node.inside(NODES[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
