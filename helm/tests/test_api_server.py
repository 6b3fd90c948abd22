"""The charts on a real API server: what it admits, what roles allow, what stays when a release is upgraded and deleted."""

import base64
import json
import threading
import unittest

from api_server import ADMIN_TOKEN, ApiServer, running
from charts import BIN, CHART, CRDS, NAMESPACE, Failed

RELEASE = ("heddle", CHART, f"--namespace={NAMESPACE}")
PROXY = f"system:serviceaccount:{NAMESPACE}:heddle-node-proxy"
CONTROL_PLANE = f"system:serviceaccount:{NAMESPACE}:heddle-control-plane"
GATEWAYS = "gateways.gateway.networking.k8s.io"


def setUpModule() -> None:
    if not all((BIN / program).exists() for program in ("etcd", "kube-apiserver", "kubectl", "helm")):
        raise unittest.SkipTest("scripts/cluster.sh build makes the API server that this needs")
    OnAServer.server = unittest.enterModuleContext(running())


class OnAServer(unittest.TestCase):
    """The server, as if it was new."""

    server: ApiServer

    @classmethod
    def setUpClass(cls) -> None:
        cls.forget()

    @classmethod
    def forget(cls) -> None:
        """Takes everything away that a release, or somebody else's definitions, may have left."""
        cls.server.helm("uninstall", "heddle", f"--namespace={NAMESPACE}", "--no-hooks", "--ignore-not-found")
        cls.server.kubectl("delete", "validatingadmissionpolicies,validatingadmissionpolicybindings", "--all")
        cls.server.delete_definitions()

    def install(self, *options: object) -> str:
        return self.server.helm("install", *RELEASE, "--create-namespace", *options)

    def upgrade(self, *options: object) -> str:
        return self.server.helm("upgrade", *RELEASE, "--reset-values", *options)

    def uninstall(self) -> None:
        """Deletes the release; the hook's Job is ended by hand, as nothing runs here."""
        done = threading.Event()
        ending = threading.Thread(target=self.end_jobs, args=(done,))
        ending.start()
        try:
            self.server.helm("uninstall", "heddle", f"--namespace={NAMESPACE}", "--timeout=60s")
        finally:
            done.set()
            ending.join()

    def end_jobs(self, done: threading.Event) -> None:
        now = "2026-01-01T00:00:00Z"
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in ("SuccessCriteriaMet", "Complete")]
        status = {"status": {"startTime": now, "completionTime": now, "succeeded": 1, "conditions": conditions}}
        while not done.wait(0.2):
            for job in self.server.get("jobs", "-n", NAMESPACE)["items"]:
                if not job.get("status", {}).get("succeeded"):
                    try:
                        self.server.kubectl("patch", "job", job["metadata"]["name"], "-n", NAMESPACE, "--subresource=status", "--type=merge", f"--patch={json.dumps(status)}")
                    except Failed as failed:
                        # The hook's deletion came first.
                        if "not found" not in str(failed):
                            raise

    def names(self, kind: str) -> set[str]:
        return {entry["metadata"]["name"] for entry in self.server.get(kind)["items"]}


class Life(OnAServer):
    """One release, from its installation to its end."""

    def test_it_is_installed_at_once_and_upgraded_and_leaves_only_definitions(self) -> None:
        self.install()
        first = self.server.get("gatewayclass", "heddle")
        self.assertEqual(first["spec"]["controllerName"], "heddle.dev/gateway-controller")
        definitions = self.names("customresourcedefinitions")
        self.assertIn("authorizationpolicies.heddle.dev", definitions)
        self.assertIn(GATEWAYS, definitions)

        self.upgrade("--set", "mesh.mtls=strict")
        second = self.server.get("gatewayclass", "heddle")
        self.assertEqual(second["metadata"]["uid"], first["metadata"]["uid"], "its Gateways would have lost their class")
        self.assertNotIn("helm.sh/hook", second["metadata"]["annotations"])

        self.uninstall()
        self.assertEqual(self.names("gatewayclass"), set())
        self.assertEqual(self.names("customresourcedefinitions"), definitions)
        left = {kind: {name for name in self.names(kind) if "heddle" in name} for kind in
                ("clusterroles", "clusterrolebindings", "roles", "rolebindings", "serviceaccounts", "deployments", "daemonsets", "jobs", "services",
                 "networkpolicies", "poddisruptionbudgets", "validatingadmissionpolicies", "secrets", "configmaps")}
        self.assertEqual({kind: names for kind, names in left.items() if names}, {})

        # Its own definitions are no stranger's to the next release of the name; and a class that only a hook knew goes as well.
        self.install()
        self.assertEqual(self.names("gatewayclass"), {"heddle"})
        self.uninstall()
        self.assertEqual(self.names("gatewayclass"), set())


class Hooked(OnAServer):
    """A release that is deleted before its first upgrade."""

    def test_the_class_that_came_by_a_hook_goes_with_the_release(self) -> None:
        self.install()
        self.assertEqual(self.names("gatewayclass"), {"heddle"})
        self.uninstall()
        self.assertEqual(self.names("gatewayclass"), set())


class Others(OnAServer):
    """Clusters that have the Gateway API already."""

    def setUp(self) -> None:
        self.forget()

    def has(self, version: str, channel: str = "standard") -> None:
        """Somebody has installed the Gateway API."""
        files = [file.read_text() for file in sorted((CRDS / "files/gateway-api").glob("*.yaml")) if "vap" not in file.name]
        text = "\n---\n".join(files).replace("bundle-version: v1.7.0", f"bundle-version: {version}").replace("channel: standard", f"channel: {channel}")
        self.server.kubectl("apply", "--server-side", "-f", "-", stdin=text)

    def version(self) -> str:
        return self.server.get("customresourcedefinition", GATEWAYS)["metadata"]["annotations"]["gateway.networking.k8s.io/bundle-version"]

    def test_an_older_one_is_left_alone_and_told_of(self) -> None:
        self.has("v1.6.3")
        notes = self.install()
        self.assertEqual(self.version(), "v1.6.3")
        self.assertIn("The Gateway API v1.6.3 was here before", notes)
        self.assertIn("heddle", self.names("gatewayclass"))
        self.assertIn("authorizationpolicies.heddle.dev", self.names("customresourcedefinitions"))

    def test_an_older_one_is_taken_over_if_that_is_said(self) -> None:
        self.has("v1.6.3")
        with self.assertRaisesRegex(Failed, "invalid ownership metadata"):
            self.install("--set", "heddle-crds.gatewayApi.install=standard")
        self.install("--set", "heddle-crds.gatewayApi.install=standard", "--take-ownership", "--force-conflicts")
        self.assertEqual(self.version(), "v1.7.0")

    def test_a_newer_one_is_never_replaced(self) -> None:
        self.has("v1.8.0")
        with self.assertRaisesRegex(Failed, r"The Gateway API v1\.8\.0 \(newer\) is installed in this cluster.*--set heddle-crds\.gatewayApi\.install=false"):
            self.install("--set", "heddle-crds.gatewayApi.install=standard", "--take-ownership")
        self.install()
        self.assertEqual(self.version(), "v1.8.0")

    def test_an_experimental_one_is_never_replaced(self) -> None:
        self.has("v1.7.0", "experimental")
        with self.assertRaisesRegex(Failed, r"The Gateway API v1\.7\.0 \(experimental channel\) is installed"):
            self.install("--set", "heddle-crds.gatewayApi.install=standard", "--take-ownership")
        self.install()
        found = self.server.get("customresourcedefinition", GATEWAYS)["metadata"]["annotations"]
        self.assertEqual(found["gateway.networking.k8s.io/channel"], "experimental")

    def test_without_any_the_rest_is_installed(self) -> None:
        notes = self.install("--set", "heddle-crds.gatewayApi.install=false")
        self.assertIn("There is no Gateway API in this cluster", notes)
        self.assertEqual(self.names("customresourcedefinitions"), {"authorizationpolicies.heddle.dev"})

    def test_a_namespace_that_would_not_admit_node_proxies_is_named(self) -> None:
        self.server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "hardened", "labels": {"pod-security.kubernetes.io/enforce": "baseline"}}})
        with self.assertRaisesRegex(Failed, "kubectl label --overwrite namespace hardened pod-security.kubernetes.io/enforce=privileged"):
            self.server.helm("install", "heddle", CHART, "--namespace=hardened")


class Resolvers(OnAServer):
    """Where the cluster's DNS is looked for."""

    def test_the_clusters_dns_service_is_found(self) -> None:
        self.server.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                           "spec": {"clusterIP": "10.96.0.53", "ports": [{"port": 53, "protocol": "UDP"}]}})
        self.install()
        daemonset = self.server.get("daemonset", "heddle-node-proxy", "-n", NAMESPACE)
        self.assertIn("--resolvers=10.96.0.53:53", daemonset["spec"]["template"]["spec"]["containers"][0]["args"])


class Allowed(OnAServer):
    """What the service accounts may do, and what they may not."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.server.helm("install", *RELEASE, "--create-namespace")

    def may(self, who: str, verb: str, what: str, namespace: str = "") -> bool:
        """`what` is RESOURCE[.GROUP][/NAME-OR-SUBRESOURCE]; a name has a namespace."""
        kind, _, rest = what.partition("/")
        resource, _, group = kind.partition(".")
        part = {"subresource" if rest in ("status", "token") else "name": rest}
        review = {"spec": {"user": who, "groups": [f"system:serviceaccounts:{NAMESPACE}", "system:serviceaccounts", "system:authenticated"],
                           "resourceAttributes": {"verb": verb, "group": group, "resource": resource, "namespace": namespace, **part}}}
        return self.server.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)["status"]["allowed"]

    def test_the_control_plane_reads_what_it_computes_from(self) -> None:
        kinds = ("namespaces", "nodes", "pods", "serviceaccounts", "services", "secrets", "configmaps", "endpointslices.discovery.k8s.io",
                 "networkpolicies.networking.k8s.io", "gatewayclasses.gateway.networking.k8s.io", "gateways.gateway.networking.k8s.io",
                 "httproutes.gateway.networking.k8s.io", "grpcroutes.gateway.networking.k8s.io", "referencegrants.gateway.networking.k8s.io",
                 "authorizationpolicies.heddle.dev")
        refused = [(verb, kind) for kind in kinds for verb in ("list", "watch") if not self.may(CONTROL_PLANE, verb, kind)]
        self.assertEqual(refused, [])

    def test_the_control_plane_writes_statuses_events_and_its_own_objects(self) -> None:
        inside = (NAMESPACE,)
        wanted = [("patch", f"{kind}.gateway.networking.k8s.io/status") for kind in ("gatewayclasses", "gateways", "httproutes", "grpcroutes")]
        wanted += [("create", "events.events.k8s.io"), ("patch", "events.events.k8s.io"), ("create", "tokenreviews.authentication.k8s.io")]
        wanted += [("create", "secrets", *inside), ("get", "secrets/heddle-ca", *inside), ("update", "secrets/heddle-ca", *inside)]
        wanted += [("create", "configmaps", *inside), ("patch", "configmaps/heddle-trust-bundle", *inside), ("get", "pods", *inside)]
        wanted += [("create", "leases.coordination.k8s.io", *inside), ("update", "leases.coordination.k8s.io/heddle-control-plane", *inside)]
        wanted += [("get", f"customresourcedefinitions.apiextensions.k8s.io/{kind}.gateway.networking.k8s.io")
                   for kind in ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants")]
        wanted += [(verb, "clustertrustbundles.certificates.k8s.io/heddle.dev:mesh:roots") for verb in ("get", "patch")]
        wanted += [("create", "clustertrustbundles.certificates.k8s.io"), ("attest", "signers.certificates.k8s.io/heddle.dev/mesh")]
        self.assertEqual([one for one in wanted if not self.may(CONTROL_PLANE, *one)], [])

    def test_the_control_plane_changes_nothing_else(self) -> None:
        inside = (NAMESPACE,)
        forbidden = [("update", "secrets/another", *inside), ("get", "secrets/another", *inside), ("delete", "secrets/heddle-ca", *inside), ("create", "secrets", "default"),
                     ("update", "httproutes.gateway.networking.k8s.io"), ("patch", "httproutes.gateway.networking.k8s.io"), ("create", "pods", *inside),
                     ("patch", "pods"), ("update", "configmaps/another", *inside), ("update", "leases.coordination.k8s.io/another", *inside),
                     ("impersonate", "users"), ("attest", "signers.certificates.k8s.io/another/signer"), ("patch", "clustertrustbundles.certificates.k8s.io/another"),
                     ("list", "customresourcedefinitions.apiextensions.k8s.io"), ("create", "serviceaccounts/token", *inside)]
        self.assertEqual([one for one in forbidden if self.may(CONTROL_PLANE, *one)], [])

    def test_a_node_proxy_may_patch_pods_statuses_and_see_its_own_daemonset(self) -> None:
        self.assertTrue(self.may(PROXY, "patch", "pods/status"))
        self.assertTrue(self.may(PROXY, "get", "daemonsets.apps/heddle-node-proxy", NAMESPACE))

    def test_a_node_proxy_may_nothing_else(self) -> None:
        forbidden = [("get", "pods"), ("list", "pods"), ("patch", "pods"), ("update", "pods/status"), ("list", "secrets"),
                     ("get", "secrets/heddle-ca", NAMESPACE), ("get", "daemonsets.apps/another", NAMESPACE), ("delete", "daemonsets.apps/heddle-node-proxy", NAMESPACE),
                     ("list", "nodes")]
        self.assertEqual([one for one in forbidden if self.may(PROXY, *one)], [])


class Admission(OnAServer):
    """What a node proxy may write into pods' statuses, by a token as the kubelet gets it for a proxy's pod."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        server = cls.server
        server.helm("install", *RELEASE, "--create-namespace")
        server.apply(*({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in ("node1", "node2")))
        server.apply(cls.pod("proxy", "node1", NAMESPACE, "heddle-node-proxy"), {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "app", "namespace": "default"}})
        server.apply(cls.pod("near", "node1"), cls.pod("far", "node2"), cls.pod("nowhere", ""))
        bound = ("--bound-object-kind=Pod", "--bound-object-name=proxy")
        cls.token = server.kubectl("create", "token", "heddle-node-proxy", "-n", NAMESPACE, *bound).strip()
        cls.unbound = server.kubectl("create", "token", "heddle-node-proxy", "-n", NAMESPACE).strip()

    @staticmethod
    def pod(name: str, node: str, namespace: str = "default", account: str = "app") -> dict:
        spec = {"serviceAccountName": account, "automountServiceAccountToken": False, "containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {})}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}}, "spec": spec}

    def patch(self, pod: str, patch: dict, token: str | None = None) -> None:
        self.server.request("PATCH", f"/api/v1/namespaces/default/pods/{pod}/status", patch, token or self.token, "application/strategic-merge-patch+json")

    @staticmethod
    def condition(kind: str = "heddle.dev/Enrolled", status: str = "True") -> dict:
        return {"status": {"conditions": [{"type": kind, "status": status, "reason": "Captured", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}

    def test_the_token_names_the_node(self) -> None:
        claims = json.loads(base64.urlsafe_b64decode(self.token.split(".")[1] + "=="))
        self.assertEqual(claims["kubernetes.io"]["node"]["name"], "node1")

    def test_the_condition_of_a_pod_of_its_node_is_written(self) -> None:
        for status in ("True", "False"):
            self.patch("near", self.condition(status=status))
            conditions = self.server.get("pod", "near")["status"]["conditions"]
            self.assertEqual([each["status"] for each in conditions if each["type"] == "heddle.dev/Enrolled"], [status])

    def test_pods_of_other_nodes_or_none_are_not_its_affair(self) -> None:
        for pod in ("far", "nowhere"):
            with self.subTest(pod), self.assertRaisesRegex(Failed, "a node proxy may change pods of its own node only"):
                self.patch(pod, self.condition())

    def test_a_token_of_no_pod_changes_nothing(self) -> None:
        with self.assertRaisesRegex(Failed, "a node proxy may change pods of its own node only"):
            self.patch("near", self.condition(), self.unbound)

    def test_other_conditions_are_not_its_affair(self) -> None:
        with self.assertRaisesRegex(Failed, "of a pod's conditions a node proxy may change heddle.dev/Enrolled only"):
            self.patch("near", self.condition("Ready"))

    def test_the_rest_of_the_status_is_not_its_affair(self) -> None:
        for field, value in {"phase": "Failed", "podIP": "10.0.0.1", "message": "m", "reason": "r",
                             "containerStatuses": [{"name": "c", "image": "i", "imageID": "", "ready": True, "restartCount": 0}]}.items():
            with self.subTest(field), self.assertRaisesRegex(Failed, "heddle.dev/Enrolled only, not"):
                self.patch("near", {"status": {field: value}})

    def test_labels_do_not_change_on_the_way_of_the_status(self) -> None:
        for field in ("labels", "annotations"):
            with self.subTest(field), self.assertRaisesRegex(Failed, f"a node proxy may change a pod's status only, not its {field}"):
                self.patch("near", {"metadata": {field: {"app": "another"}}, **self.condition(status="Unknown")})

    def test_others_are_not_held_to_it(self) -> None:
        self.patch("far", self.condition("Ready"), ADMIN_TOKEN)


if __name__ == "__main__":
    unittest.main()
