"""Envoy takes everything that it is sent: in both roles, as delta and as state of the world, connected by mutual TLS."""

import pathlib
import re
import subprocess
import tempfile
import unittest

from mesh_site import PROGRAMS, ROOT, Site, wait

WORLDS = 300
VARIANTS = {"delta": "DELTA_GRPC", "sotw": "GRPC"}
MARK = """
---
apiVersion: v1
kind: Service
metadata: {{namespace: interop, name: mark-{number}}}
spec: {{clusterIP: 10.96.255.1, ports: [{{name: http, port: 80, appProtocol: http}}]}}
"""


class Accepted(unittest.TestCase):
    """One control plane, and four Envoys that see one world after the other."""

    def start(self, gateway, clients=True):
        self.site = Site()
        self.addCleanup(self.site.close)
        namespace = gateway.split("/")[0]
        self.envoys = []
        roles = [("gateway", f"spiffe://cluster.local/ns/{namespace}/sa/edge", f"{{role: gateway, gateway: {gateway}}}")]
        if clients:
            roles.append(("client", "spiffe://cluster.local/ns/tools/sa/client", "{role: client}"))
        for variant, api in VARIANTS.items():
            for role, identity, metadata in roles:
                name, admin = f"{role}-{variant}", 9901 + len(self.envoys)
                self.envoys.append(self.site.envoy(name, identity, metadata, api, admin))
        for envoy in self.envoys:
            wait(lambda envoy=envoy: f"{envoy.name} does not connect:\n{envoy.program.tail()}", envoy.connected)
        self.shown = 0

    def show(self, text):
        """Puts a world before all, and waits until each has all of it; returns what each has refused so far."""
        self.shown += 1
        mark = f"interop/mark-{self.shown}:80"
        self.site.put(text.rstrip() + MARK.format(number=self.shown))
        for envoy in self.envoys:
            wait(lambda envoy=envoy: f"{envoy.name} does not get {mark}; refused: {envoy.refusals()}\n{envoy.program.tail()}",
                 lambda envoy=envoy: mark in envoy.clusters() or envoy.refusals())
        wait(lambda: f"not all is acknowledged: {self.site.asked('/debug/clients')}", self.is_acknowledged)
        for envoy in self.envoys:
            wait(lambda envoy=envoy: f"{envoy.name} waits: {envoy.unfinished()}", lambda envoy=envoy: not envoy.unfinished())
        return {envoy.name: envoy.refusals() for envoy in self.envoys if envoy.refusals()}

    def is_acknowledged(self):
        """Nothing is on the way, at two looks: between two types of one change there is a moment without any."""
        looks = [self.site.asked("/debug/clients") for _ in range(2)]
        types = [of_type for client in looks[0] for of_type in client["types"]]
        return looks[0] == looks[1] and len(looks[0]) == len(self.envoys) and all(
            of_type["responses"] == of_type["accepted"] + of_type["refused"] for of_type in types)

    def check(self, worlds):
        for name, text in worlds:
            refused = self.show(text)
            told = self.site.asked("/debug/problems")["refused"]
            self.assertEqual((refused, told), ({}, []), f"{name} is refused")

    def read_everything(self):
        """What was taken in all: a test that compared nothing with nothing would pass too."""
        for envoy in self.envoys:
            updates = envoy.updates()
            print(f"  {envoy.name}: updates taken {updates}, refused {sum(envoy.refusals().values())}")
            for kind in ("lds", "cds", "rds", "eds"):
                self.assertGreater(updates.get(kind, 0), 0, f"{envoy.name}: no update of {kind}")

    def test_every_resource_of_the_lesson_is_accepted(self):
        self.start("production/my-gateway")
        files = sorted((ROOT / "examples" / "lesson").glob("*.yaml"))
        self.check([("the lesson", "\n---\n".join(file.read_text() for file in files))])
        for envoy in self.envoys:
            names = {"gateway": {"gateway/production/my-gateway/80"}, "client": {"outbound-http"}}[envoy.name.split("-")[0]]
            listeners = {entry["name"] for entry in envoy.dump("dynamic_listeners") if "active_state" in entry}
            self.assertLessEqual(names, listeners, envoy.name)
            self.assertIn("production/api-v2-canary:8080", envoy.clusters())
        self.read_everything()

    def test_every_golden_case_is_accepted(self):
        self.start("infra/web")
        folder = ROOT / "control-plane" / "translate" / "tests" / "golden"
        cases = sorted(folder.glob("*/*/in.yaml"))
        self.assertGreater(len(cases), 40)
        base = (folder / "_base.yaml").read_text()
        self.check((str(case.relative_to(folder)), f"{base}\n---\n{case.read_text()}") for case in cases)
        folder = ROOT / "control-plane" / "resolve" / "tests" / "golden"
        cases = sorted(folder.glob("*/*/in.yaml"))
        self.assertGreater(len(cases), 100)
        for case in cases:
            base = case.parents[1] / "_base.yaml"
            base = base.read_text() if base.exists() else ""
            self.check([(str(case.relative_to(folder)), f"{base}\n---\n{case.read_text()}")])
        self.read_everything()

    def test_every_other_gateway_of_the_golden_cases_is_accepted(self):
        cases = {}
        for case in sorted((ROOT / "control-plane").glob("*/tests/golden/*/*/in.yaml")):
            bases = [case.parents[1] / "_base.yaml", case.parents[2] / "_base.yaml"]
            text = "\n---\n".join(file.read_text() for file in [*bases, case] if file.exists())
            gateways = re.findall(r"kind: Gateway\nmetadata: \{namespace: ([a-z-]+), name: ([a-z-]+)", text)
            for namespace, name in set(gateways) - {("infra", "web")}:
                cases.setdefault(f"{namespace}/{name}", []).append((str(case.relative_to(ROOT)), text))
        self.assertGreater(len(cases), 5, cases.keys())
        for gateway, texts in cases.items():
            with self.subTest(gateway):
                self.start(gateway, clients=False)
                self.check(texts)
                served = {entry["name"] for entry in self.envoys[0].dump("dynamic_listeners")}
                print(f"  {gateway}: {sorted(served)} in the last of {len(texts)} cases")
                self.site.close()

    def test_every_one_of_300_generated_worlds_is_accepted(self):
        self.start("shop/a")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([PROGRAMS / "examples" / "worlds", str(WORLDS), folder], check=True)
            worlds = sorted(pathlib.Path(folder).iterdir())
            self.assertEqual(len(worlds), WORLDS)
            self.check((world.name, world.read_text()) for world in worlds)
        self.read_everything()
