"""The runner asks the cluster for the right things in the right order. The cluster is a list of what exists and a record of what was asked."""

import json
import tempfile
import unittest
from pathlib import Path

from runner.kubernetes import CHANNEL_ANNOTATION, SAFE_UPGRADES, VERSION_ANNOTATION, Cluster, ConformanceError, install_crds, remove_leftovers, wait_for_heddle

POLICY = "gateway.networking.k8s.io_vap_safeupgrades.yaml"


class Recorded(Cluster):
    """Answers lists from `existing`, and remembers everything else."""

    def __init__(self, **existing: list[dict]) -> None:
        super().__init__(Path("/nowhere"))
        object.__setattr__(self, "existing", existing)
        object.__setattr__(self, "asked", [])

    def kubectl(self, *arguments: object, input: str | None = None) -> str:
        if arguments[0] == "get":
            return json.dumps({"items": self.existing.get(str(arguments[1]), [])})
        self.asked.append(" ".join(Path(argument).name if isinstance(argument, Path) else str(argument) for argument in arguments))
        return ""


class Denying(Recorded):
    """Refuses the first object that is applied, once."""

    def __init__(self, reason: str = f"ValidatingAdmissionPolicy '{SAFE_UPGRADES}' denied request") -> None:
        super().__init__()
        object.__setattr__(self, "reasons", [reason])

    def kubectl(self, *arguments: object, input: str | None = None) -> str:
        if arguments[0] == "apply" and self.reasons:
            raise ConformanceError(self.reasons.pop())
        return super().kubectl(*arguments, input=input)


def named(name: str, **annotations: str) -> dict:
    return {"metadata": {"name": name, "namespace": "heddle-system", "annotations": annotations}}


def definition(name: str, version: str, channel: str) -> dict:
    return named(name, **{VERSION_ANNOTATION: version, CHANNEL_ANNOTATION: channel})


class Definitions(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.release = Path(folder.name)
        for channel, names in {"standard": ["k8s.io_httproutes"], "experimental": ["k8s.io_httproutes", "x-k8s.io_xmeshes"]}.items():
            files = self.release / "config/crd" / channel
            files.mkdir(parents=True)
            for name in [POLICY, "kustomization.yaml", *(f"gateway.networking.{name}.yaml" for name in names)]:
                (files / name).touch()

    def install(self, channel: str, *existing: dict) -> list[str]:
        cluster = Recorded(customresourcedefinitions=list(existing))
        install_crds(cluster, self.release, "v1.7.0", channel)
        return cluster.asked

    def test_what_is_right_already_is_let_be(self) -> None:
        others = named("certificates.example.com")
        self.assertEqual(self.install("standard", definition("httproutes.gateway.networking.k8s.io", "v1.7.0", "standard"), others), [])

    def test_an_empty_cluster_gets_the_definitions_and_then_the_policy(self) -> None:
        applied = [line.split()[-1] for line in self.install("experimental") if line.startswith("apply")]
        self.assertEqual(applied, ["gateway.networking.k8s.io_httproutes.yaml", "gateway.networking.x-k8s.io_xmeshes.yaml", POLICY])

    def test_a_policy_that_is_deleted_and_still_in_force_is_waited_for(self) -> None:
        cluster = Denying()
        install_crds(cluster, self.release, "v1.7.0", "experimental")
        applied = [line.split()[-1] for line in cluster.asked if line.startswith("apply")]
        self.assertEqual(applied[0], "gateway.networking.k8s.io_httproutes.yaml")

    def test_another_refusal_ends_it(self) -> None:
        with self.assertRaisesRegex(ConformanceError, "disk is full"):
            install_crds(Denying("the disk is full"), self.release, "v1.7.0", "experimental")

    def test_another_release_is_replaced_with_the_policy_out_of_the_way(self) -> None:
        asked = self.install("standard", definition("httproutes.gateway.networking.k8s.io", "v1.8.0", "standard"))
        self.assertTrue(asked[0].startswith("delete validatingadmissionpolicybinding"))
        self.assertTrue(asked[1].startswith("delete validatingadmissionpolicy "))
        self.assertTrue(asked[-1].startswith("wait --for=condition=Established"))
        self.assertFalse([line for line in asked if "delete customresourcedefinition" in line])

    def test_definitions_of_the_other_channel_alone_are_removed(self) -> None:
        asked = self.install(
            "standard",
            definition("httproutes.gateway.networking.k8s.io", "v1.7.0", "experimental"),
            definition("xmeshes.gateway.networking.x-k8s.io", "v1.7.0", "experimental"),
        )
        self.assertIn("delete customresourcedefinition xmeshes.gateway.networking.x-k8s.io --timeout=60s", asked)


class Leftovers(unittest.TestCase):
    def test_only_the_suites_namespaces_are_removed(self) -> None:
        cluster = Recorded(namespaces=[named("default"), named("gateway-conformance-mesh"), named("my-gateway-conformance-x")])
        remove_leftovers(cluster)
        [deleted] = cluster.asked
        self.assertTrue(deleted.startswith("delete namespace gateway-conformance-mesh --"), deleted)

    def test_a_clean_cluster_is_let_be(self) -> None:
        cluster = Recorded(namespaces=[named("default")])
        remove_leftovers(cluster)
        self.assertEqual(cluster.asked, [])


class Heddle(unittest.TestCase):
    def test_a_cluster_without_it_is_refused(self) -> None:
        with self.assertRaisesRegex(ConformanceError, "not installed"):
            wait_for_heddle(Recorded(daemonsets=[named("kube-proxy")]))

    def test_both_programs_are_waited_for_in_their_namespace(self) -> None:
        cluster = Recorded(daemonsets=[named("heddle-node-proxy")])
        self.assertEqual(wait_for_heddle(cluster), "heddle-system")
        self.assertEqual([line.split()[4] for line in cluster.asked], ["deployment/heddle-control-plane", "daemonset/heddle-node-proxy"])


if __name__ == "__main__":
    unittest.main()
