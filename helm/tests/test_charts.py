"""What the charts render, without a cluster."""

import json
import re
import unittest
from pathlib import Path

import readme
from charts import CHART, CRDS, HELM, HELM_FOLDER, NAMESPACE, Failed, find, objects, render, run, template

LABELS = {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component", "part-of", "version", "managed-by")} | {"helm.sh/chart"}
EXAMPLES = sorted((CHART / "examples").glob("values-*.yaml"))
NO_GATEWAY_API = ("--set", "heddle-crds.gatewayApi.install=false")


def pods(rendered: list[dict]) -> dict[str, dict]:
    """All pod templates by kind and name."""
    found = {}
    for entry in rendered:
        name = f"{entry['kind']}/{entry['metadata']['name']}"
        if entry["kind"] == "Pod":
            found[name] = entry
        elif "template" in entry.get("spec", {}):
            found[name] = entry["spec"]["template"]
    return found


class Rendered(unittest.TestCase):
    """With the values as they are."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.all = render("--api-versions=gateway.networking.k8s.io/v1/GatewayClass", "--api-versions=heddle.dev/v1alpha1/AuthorizationPolicy")
        cls.pods = pods(cls.all)

    def test_every_object_has_the_recommended_labels(self) -> None:
        for entry in self.all:
            with self.subTest(f"{entry['kind']}/{entry['metadata']['name']}"):
                self.assertLessEqual(LABELS, set(entry["metadata"].get("labels", {})))

    def test_every_object_of_a_namespace_names_it(self) -> None:
        cluster = {"ClusterRole", "ClusterRoleBinding", "GatewayClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
        for entry in self.all:
            with self.subTest(f"{entry['kind']}/{entry['metadata']['name']}"):
                self.assertEqual(entry["metadata"].get("namespace"), None if entry["kind"] in cluster else NAMESPACE)

    def test_selectors_hold_what_never_changes(self) -> None:
        for kind in ("Deployment", "DaemonSet"):
            name = "heddle-control-plane" if kind == "Deployment" else "heddle-node-proxy"
            selector = find(self.all, kind, name)["spec"]["selector"]["matchLabels"]
            self.assertEqual(set(selector), {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"})

    def test_only_the_tests_own_pods_are_in_the_mesh(self) -> None:
        enrolled = {name for name, pod in self.pods.items() if pod["metadata"]["labels"]["heddle.dev/mesh"] == "enabled"}
        self.assertEqual(enrolled, {"Deployment/heddle-test-stable", "Deployment/heddle-test-canary", "Deployment/heddle-test-closed",
                                    "Pod/heddle-test-identity", "Pod/heddle-test-split", "Pod/heddle-test-denied"})
        self.assertEqual(self.pods["Deployment/heddle-control-plane"]["metadata"]["labels"]["heddle.dev/mesh"], "disabled")

    def test_every_container_but_the_node_proxy_is_harmless(self) -> None:
        for name, pod in self.pods.items():
            if name != "DaemonSet/heddle-node-proxy":
                with self.subTest(name):
                    self.assertTrue(pod["spec"]["securityContext"]["runAsNonRoot"])
                    self.assertEqual(pod["spec"]["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    for container in pod["spec"]["containers"]:
                        self.assertEqual(container["securityContext"],
                                         {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})

    def test_the_node_proxy_has_named_capabilities_and_nothing_more(self) -> None:
        pod = self.pods["DaemonSet/heddle-node-proxy"]["spec"]
        context = pod["containers"][0]["securityContext"]
        self.assertEqual(context["capabilities"], {"drop": ["ALL"], "add": ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE", "NET_BIND_SERVICE"]})
        self.assertEqual((context["privileged"], context["readOnlyRootFilesystem"]), (False, True))
        self.assertNotIn("hostPID", pod)

    def test_two_node_proxies_can_overlap_on_a_node(self) -> None:
        daemonset = find(self.all, "DaemonSet")
        self.assertEqual(daemonset["spec"]["updateStrategy"]["rollingUpdate"], {"maxSurge": 1, "maxUnavailable": 0})
        pod = daemonset["spec"]["template"]["spec"]
        self.assertTrue(pod["hostNetwork"])
        # In the node's network every declared port would be a host port, which the scheduler gives to one pod only.
        self.assertNotIn("ports", pod["containers"][0])

    def test_the_node_proxy_gets_longer_than_its_drain(self) -> None:
        pod = self.pods["DaemonSet/heddle-node-proxy"]["spec"]
        drain = next(argument for argument in pod["containers"][0]["args"] if argument.startswith("--drain-seconds="))
        self.assertGreater(pod["terminationGracePeriodSeconds"], int(drain.split("=")[1]))

    def test_every_pod_has_resources_and_one_image(self) -> None:
        for name, pod in self.pods.items():
            for container in pod["spec"]["containers"]:
                with self.subTest(name):
                    self.assertEqual(container["image"], "ghcr.io/heddle-mesh/heddle:0.1.0")
                    self.assertTrue(container["resources"].get("requests"))

    def test_every_image_is_in_the_list_of_the_chart(self) -> None:
        text = (CHART / "Chart.yaml").read_text()
        listed = set(re.findall(r"image: (\S+)", text))
        self.assertEqual({container["image"] for pod in self.pods.values() for container in pod["spec"]["containers"]}, listed)

    def test_no_role_has_wildcards_and_no_account_may_write_pods_or_read_secrets_by_name(self) -> None:
        for entry in self.all:
            for rule in entry.get("rules", []):
                flat = json.dumps(rule)
                self.assertNotIn('"*"', flat)
                if "pods" in rule["resources"]:
                    self.assertLessEqual(set(rule["verbs"]), {"get", "list", "watch"})

    def test_flags_are_those_of_the_programs(self) -> None:
        """Flags that a program does not have end it at its start, on every node."""
        sources = {"Deployment/heddle-control-plane": "control-plane/controller", "DaemonSet/heddle-node-proxy": "node-proxy/agent"}
        for name, folder in sources.items():
            code = (HELM_FOLDER.parent / folder / "src/arguments.rs").read_text()
            known = {field.replace("_", "-") for field in re.findall(r"pub\(crate\) (\w+):", code)}
            used = {argument.removeprefix("--").split("=")[0] for argument in self.pods[name]["spec"]["containers"][0]["args"]}
            self.assertLessEqual(used, known, name)

    def test_the_hooks_of_the_end_are_ordered(self) -> None:
        weights = {(entry["kind"], entry["metadata"]["name"]): int(entry["metadata"]["annotations"]["helm.sh/hook-weight"])
                   for entry in self.all if entry["metadata"].get("annotations", {}).get("helm.sh/hook") == "pre-delete"}
        job = weights.pop(("Job", "heddle-uninstall"))
        self.assertEqual({kind for kind, _ in weights}, {"ServiceAccount", "Role", "RoleBinding"})
        self.assertTrue(all(weight < job for weight in weights.values()))

    def test_test_objects_spell_out_what_the_api_would_fill_in(self) -> None:
        route = find(self.all, "HTTPRoute")
        self.assertEqual(route["spec"]["parentRefs"][0]["group"], "")
        for backend in route["spec"]["rules"][0]["backendRefs"]:
            self.assertLessEqual({"group", "kind", "weight"}, set(backend))


class Chosen(unittest.TestCase):
    """What values change."""

    def test_examples_render(self) -> None:
        self.assertEqual([example.name for example in EXAMPLES], ["values-airgap.yaml", "values-ha.yaml"])
        for example in EXAMPLES:
            with self.subTest(example.name):
                render("--values", example)

    def test_an_air_gapped_cluster_pulls_from_one_registry_by_digest(self) -> None:
        for name, pod in pods(render("--values", CHART / "examples/values-airgap.yaml")).items():
            with self.subTest(name):
                self.assertEqual(pod["spec"]["imagePullSecrets"], [{"name": "registry-credentials"}])
                for container in pod["spec"]["containers"]:
                    self.assertRegex(container["image"], r"^registry\.example\.internal/heddle-mesh/heddle@sha256:[0-9a-f]{64}$")

    def test_one_replica_has_no_budget_that_would_forbid_drains(self) -> None:
        kinds = {entry["kind"] for entry in render("--set", "controlPlane.replicas=1")}
        self.assertNotIn("PodDisruptionBudget", kinds)
        self.assertIn("PodDisruptionBudget", {entry["kind"] for entry in render()})

    def test_labels_of_ones_own_are_on_everything_and_cannot_take_pods_into_the_mesh(self) -> None:
        rendered = render("--set", "commonLabels.team=net,controlPlane.podLabels.heddle\\.dev/mesh=enabled,controlPlane.podLabels.app\\.kubernetes\\.io/name=x")
        self.assertTrue(all(entry["metadata"]["labels"]["team"] == "net" for entry in rendered))
        labels = find(rendered, "Deployment", "heddle-control-plane")["spec"]["template"]["metadata"]["labels"]
        self.assertEqual((labels["heddle.dev/mesh"], labels["app.kubernetes.io/name"]), ("disabled", "heddle"))

    def test_another_namespace_and_release_are_followed_everywhere(self) -> None:
        text = template(CHART, "--set", "crds.install=false", "--namespace=mesh", release="other")
        self.assertNotIn("heddle-system", text)
        rendered = objects(text)
        self.assertIn("system:serviceaccount:mesh:heddle-node-proxy", json.dumps(find(rendered, "ValidatingAdmissionPolicy")))
        args = find(rendered, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["args"]
        self.assertIn("--control-plane=https://heddle-control-plane.mesh.svc:15012", args)
        self.assertIn("--cni-critical=kube-system,mesh", args)

    def test_monitors_need_the_operator(self) -> None:
        for monitor in ("serviceMonitor", "podMonitor"):
            on = f"monitoring.{monitor}.enabled=true"
            with self.assertRaisesRegex(Failed, "need the Prometheus operator"):
                render("--set", on)
            kinds = {entry["kind"] for entry in render("--set", on, "--api-versions", "monitoring.coreos.com/v1")}
            self.assertIn(monitor[0].upper() + monitor[1:], kinds)

    def test_metrics_are_read_from_where_it_is_said(self) -> None:
        peer = '{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"monitoring"}}}'
        policy = find(render("--set-json", f"networkPolicy.metricsFrom=[{peer}]"), "NetworkPolicy")
        (anybody, metrics) = policy["spec"]["ingress"]
        self.assertEqual((anybody["ports"][0]["port"], "from" in anybody), ("tls-xds", False))
        self.assertIn(json.loads(peer), metrics["from"])
        self.assertNotIn("NetworkPolicy", {entry["kind"] for entry in render("--set", "networkPolicy.enabled=false")})

    def test_without_the_gateway_api_there_is_neither_class_nor_split(self) -> None:
        kinds = {entry["kind"] for entry in objects(template(CHART, *NO_GATEWAY_API))}
        self.assertTrue(kinds.isdisjoint({"GatewayClass", "HTTPRoute"}))
        self.assertIn("AuthorizationPolicy", kinds)

    def test_a_class_whose_kind_comes_with_the_release_follows_it(self) -> None:
        hooks = [entry["metadata"]["annotations"]["helm.sh/hook"] for entry in objects(template(CHART)) if entry["kind"] == "GatewayClass"]
        self.assertEqual(sorted(hooks), ["post-install", "pre-delete"])

    def test_without_the_plugin_nothing_of_the_node_is_written(self) -> None:
        pod = find(render("--set", "nodeProxy.cni.enabled=false"), "DaemonSet")["spec"]["template"]["spec"]
        self.assertFalse(any("cni" in argument for argument in pod["containers"][0]["args"]))
        self.assertFalse(any("cni" in volume["name"] for volume in pod["volumes"]))

    def test_without_the_cluster_trust_bundle_nothing_may_write_one(self) -> None:
        rendered = render("--set", "mesh.clusterTrustBundle=false")
        self.assertNotIn("clustertrustbundles", json.dumps(rendered))
        self.assertIn("--no-cluster-trust-bundle", find(rendered, "Deployment", "heddle-control-plane")["spec"]["template"]["spec"]["containers"][0]["args"])
        self.assertIn("clustertrustbundles", json.dumps(find(render(), "ClusterRole", "heddle-control-plane")))

    def test_critical_pods_get_their_quota(self) -> None:
        quota = find(render("--set", "criticalPodsQuota.enabled=true"), "ResourceQuota")
        self.assertEqual(quota["spec"]["hard"], {"pods": "5000"})


class Definitions(unittest.TestCase):
    """The chart heddle-crds."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.all = objects(template(CRDS))

    def test_all_definitions_outlive_the_release(self) -> None:
        for entry in self.all:
            self.assertEqual(entry["metadata"]["annotations"]["helm.sh/resource-policy"], "keep", entry["metadata"]["name"])

    def test_the_gateway_api_is_whole_and_of_one_version(self) -> None:
        gateway = [entry for entry in self.all if "gateway.networking.k8s.io" in entry["metadata"]["name"]]
        self.assertEqual({entry["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"] for entry in gateway}, {"v1.7.0"})
        self.assertEqual(sorted(entry["metadata"]["name"].split(".")[0] for entry in gateway if entry["kind"] == "CustomResourceDefinition"),
                         ["backendtlspolicies", "gatewayclasses", "gateways", "grpcroutes", "httproutes", "listenersets", "referencegrants", "tcproutes", "tlsroutes", "udproutes"])
        self.assertEqual({entry["kind"] for entry in gateway}, {"CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"})

    def test_what_is_rendered_is_what_was_published(self) -> None:
        published = objects("\n---\n".join(file.read_text() for file in sorted((CRDS / "files").rglob("*.yaml"))))
        rendered = {(entry["kind"], entry["metadata"]["name"]): entry for entry in self.all}
        self.assertEqual(len(published), len(rendered))
        for entry in published:
            self.assertEqual(rendered[entry["kind"], entry["metadata"]["name"]]["spec"], entry["spec"])

    def test_only_ours_without_the_gateway_api(self) -> None:
        names = [entry["metadata"]["name"] for entry in objects(template(CRDS, "--set", "gatewayApi.install=false"))]
        self.assertEqual(names, ["authorizationpolicies.heddle.dev"])

    def test_one_checkout_is_one_chart(self) -> None:
        self.assertEqual((CHART / "charts/heddle-crds").resolve(), CRDS)


class Refused(unittest.TestCase):
    """Values that the schemas refuse, each with words that name it."""

    def refuse(self, values: str, *words: str) -> None:
        with self.subTest(values), self.assertRaises(Failed) as caught:
            template(CHART, "--set-json", values)
        said = str(caught.exception)
        for word in words:
            self.assertIn(word, said)

    def test_unknown_keys(self) -> None:
        for values, key in {
            'controlPlane.replicaCount=2': "replicaCount",
            'unknown=1': "unknown",
            'nodeProxy.cni.binFolder="/opt"': "binFolder",
            'heddle-crds.gatewayApi.channel="standard"': "channel",
            'monitoring.serviceMonitor.on=true': "on",
        }.items():
            self.refuse(values, f"additional properties '{key}' not allowed")

    def test_wrong_values(self) -> None:
        for values, path in {
            'mesh.mtls="off"': "/mesh/mtls",
            'controlPlane.replicas=0': "/controlPlane/replicas",
            'controlPlane.replicas="2"': "/controlPlane/replicas",
            'image.digest="sha256:beef"': "/image/digest",
            'image.pullPolicy="Sometimes"': "/image/pullPolicy",
            'mesh.trustDomain="Cluster Local"': "/mesh/trustDomain",
            'nodeProxy.resolvers=["10.96.0.10"]': "/nodeProxy/resolvers/0",
            'nodeProxy.netnsDirs=[]': "/nodeProxy/netnsDirs",
            'nodeProxy.cni.confDir="etc/cni"': "/nodeProxy/cni/confDir",
            'heddle-crds.gatewayApi.install="experimental"': "/gatewayApi/install",
            'crds.install="yes"': "/crds/install",
        }.items():
            self.refuse(values, f"'{path}'")


class Documented(unittest.TestCase):
    """Values, schema and table are one."""

    def test_every_value_is_in_the_schema_and_the_other_way_round(self) -> None:
        schema = json.loads((CHART / "values.schema.json").read_text())
        values = readme.defaults(CHART)

        def keys(node: dict) -> dict:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
            return {key: keys(child) for key, child in node.get("properties", {}).items()}

        def compare(path: str, known: dict, given: object) -> None:
            if known:
                self.assertEqual(set(known), set(given), path)
                for key, child in known.items():
                    compare(f"{path}.{key}", child, given[key])
        compare("", keys(schema), values)

    def test_every_value_is_explained(self) -> None:
        self.assertEqual([row.name for row in readme.rows(CHART) if not row.meaning and row.name not in readme.PLAIN], [])

    def test_the_table_is_up_to_date(self) -> None:
        self.assertEqual(readme.PATH.read_text(), readme.written(), "write it anew: scripts/charts.sh readme")

    def test_lint_has_no_complaint(self) -> None:
        for chart in (CHART, CRDS):
            said = run(HELM, "lint", "--strict", chart)
            self.assertNotIn("WARNING", said)

    def test_the_versions_are_the_workspaces(self) -> None:
        workspace = re.search(r'^version = "(.*)"', (HELM_FOLDER.parent / "Cargo.toml").read_text(), flags=re.MULTILINE)[1]
        for chart in (CHART, CRDS):
            text = Path(chart / "Chart.yaml").read_text()
            self.assertEqual(set(re.findall(r"^(?:version|appVersion): (.*)$", text, flags=re.MULTILINE)), {workspace})


if __name__ == "__main__":
    unittest.main()
