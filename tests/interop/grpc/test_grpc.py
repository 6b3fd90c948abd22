"""Proxyless gRPC: real clients and servers of gRPC's C-core (PyPI grpcio) on the streams of a real control plane. Times are not judged."""

import collections
import json
import os
import subprocess
import unittest

import grpc
from envoy.admin.v3 import config_dump_shared_pb2
from envoy.service.status.v3 import csds_pb2, csds_pb2_grpc
from harness.family import IPV4, authority
from harness.mesh import PORT, Mesh, identity, pod, target
from harness.process import App, wait_for

ACKED = config_dump_shared_pb2.ClientResourceStatus.ACKED
SYNCED = csds_pb2.ConfigStatus.SYNCED


def route(name: str, to: str, rules: str, kind: str = "GRPCRoute") -> str:
    return (
        f"apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\n"
        f"spec:\n  parentRefs: [{{group: '', kind: Service, name: {to}}}]\n  rules:\n{rules}"
    )


def servers(answers: list[dict]) -> collections.Counter:
    """Who answered how often; a failed call counts under its status."""
    return collections.Counter(answer.get("server", answer["code"]) for answer in answers)


def codes(answers: list[dict]) -> collections.Counter:
    return collections.Counter(answer["code"] for answer in answers)


def ask(address: str) -> csds_pb2.ClientStatusResponse:
    """The whole answer of a Client Status Discovery Service."""
    with grpc.insecure_channel(address) as channel:
        service = csds_pb2_grpc.ClientStatusDiscoveryServiceStub(channel)
        return service.FetchClientStatus(csds_pb2.ClientStatusRequest(), timeout=20)


class Case(unittest.TestCase):
    """A mesh for each class."""

    accounts = ("client",)
    family = IPV4

    @classmethod
    def setUpClass(cls) -> None:
        cls.mesh = Mesh(cls.family)
        cls.addClassCleanup(cls.mesh.end)
        cls.prepare()
        cls.mesh.start(*cls.accounts)
        cls.begin()

    @classmethod
    def prepare(cls) -> None:
        """Writes the YAML that is there from the beginning: `echo` with one server, `v1` and `v2`."""
        for number, name in enumerate(("echo", "v1", "v2"), 1):
            cls.mesh.write(name, cls.mesh.service(name, name), pod(name, name, cls.mesh.address(1, number)))

    @classmethod
    def begin(cls) -> None:
        for number, name in enumerate(("echo", "v1", "v2"), 1):
            cls.mesh.plain_server(name, cls.mesh.address(1, number))
        cls.client = cls.mesh.client("client")

    def call(self, client: App | None = None, to: str = "echo", **order: object) -> list[dict]:
        return (client or self.client).order(target=target(to), **order)

    def one(self, client: App | None = None, to: str = "echo", **order: object) -> dict:
        (answer,) = self.call(client, to, **order)
        return answer

    def until(self, what: str, expected: str, **order: object) -> None:
        """Until a call is answered by this server, or with this status."""

        def is_so() -> bool:
            answer = self.one(**order)
            self.assertIn(expected, (answer.get("server"), answer["code"]), answer)
            return True

        wait_for(what, is_so)


class Routing(Case):
    """Which server a call goes to, as YAML changes while calls are made."""

    def tearDown(self) -> None:
        if (self.mesh.manifests / "route.yaml").exists():
            self.mesh.remove("route")
            for method in ("/shop.Echo/Say", "/shop.Other/Say"):
                for metadata in ([], [["canary", "yes"]]):
                    self.until("without a route the Service itself answers", "echo", method=method, metadata=metadata)

    def test_a_target_is_the_services_name_and_port(self) -> None:
        self.assertEqual(self.one()["server"], "echo")

    def test_a_method_and_a_service_choose_the_route(self) -> None:
        rules = (
            "    - {matches: [{method: {service: shop.Echo, method: Say}}], backendRefs: [{name: v1, port: 80}]}\n"
            "    - {matches: [{method: {service: shop.Other}}], backendRefs: [{name: v2, port: 80}]}\n"
        )
        self.mesh.write("route", route("methods", "echo", rules))
        self.until("the method is routed", "v1")
        self.assertEqual(self.one(method="/shop.Other/Any")["server"], "v2")
        self.assertEqual(self.one(method="/shop.Other/More")["server"], "v2")
        # gRFC A28: a call that no route takes is UNAVAILABLE; here it must not wait for one.
        self.assertEqual(self.one(method="/shop.Echo/Shout", wait=False)["code"], "UNAVAILABLE")
        self.assertEqual(self.one(method="/shop.Otherwise/Any", wait=False)["code"], "UNAVAILABLE")

    def test_a_header_chooses_the_route_exactly_or_by_expression(self) -> None:
        rules = (
            "    - {matches: [{headers: [{name: canary, value: 'yes'}]}], backendRefs: [{name: v2, port: 80}]}\n"
            "    - {matches: [{headers: [{name: user, type: RegularExpression, value: 't[0-9]+'}]}], backendRefs: [{name: v1, port: 80}]}\n"
            "    - {backendRefs: [{name: echo, port: 80}]}\n"
        )
        self.mesh.write("route", route("headers", "echo", rules))
        self.until("the header is routed", "v2", metadata=[["canary", "yes"]])
        self.assertEqual(self.one(metadata=[["user", "t12"]])["server"], "v1")
        for other in ([], [["canary", "yes!"]], [["user", "xt12"]], [["user", "t12x"]]):
            self.assertEqual(self.one(metadata=other)["server"], "echo", other)

    def test_weights_divide_calls_and_change_while_they_are_made(self) -> None:
        for weight in (25, 75):
            rules = f"    - {{backendRefs: [{{name: v1, port: 80, weight: {weight}}}, {{name: v2, port: 80, weight: {100 - weight}}}]}}\n"
            self.mesh.write("route", route("split", "echo", rules))

            def is_divided() -> bool:
                found = servers(self.call(count=1000, parallel=8))
                # Five standard deviations: less often wrong than once in a million.
                self.assertAlmostEqual(found["v1"], 10 * weight, delta=69, msg=found)
                self.assertEqual(found["v1"] + found["v2"], 1000, found)
                return True

            wait_for(f"v1 has {weight} percent", is_divided)

    def test_a_backend_that_is_not_there_fails_its_share_only(self) -> None:
        rules = "    - {backendRefs: [{name: v1, port: 80}, {name: gone, port: 80}]}\n"
        self.mesh.write("route", route("half", "echo", rules))

        def is_half() -> bool:
            found = servers(self.call(count=200, wait=False))
            self.assertEqual(set(found), {"v1", "UNAVAILABLE"}, found)
            self.assertAlmostEqual(found["v1"], 100, delta=50)
            return True

        wait_for("half of the calls fail", is_half)


class Robustness(Case):
    """Retries and time limits of HTTPRoutes, in gRPC's words."""

    @classmethod
    def prepare(cls) -> None:
        super().prepare()
        rules = (
            "    - {matches: [{path: {value: /shop.Echo/Retried}}], retry: {attempts: 3, codes: [503], backoff: 10ms}, backendRefs: [{name: echo, port: 80}]}\n"
            "    - {matches: [{path: {value: /shop.Echo/Limited}}], timeouts: {request: 2s}, backendRefs: [{name: echo, port: 80}]}\n"
            "    - {backendRefs: [{name: echo, port: 80}]}\n"
        )
        cls.mesh.write("route", route("limits", "echo", rules, "HTTPRoute"))

    def test_a_status_that_the_route_names_is_tried_again(self) -> None:
        body = {"key": "twice", "fail": "UNAVAILABLE", "tries": 2}
        answer = self.one(method="/shop.Echo/Retried", body=body)
        self.assertEqual((answer["code"], answer.get("call")), ("OK", 3), answer)
        self.assertEqual(answer["headers"].get("grpc-previous-rpc-attempts"), "2")

    def test_tries_have_an_end(self) -> None:
        body = {"key": "always", "fail": "UNAVAILABLE"}
        self.assertEqual(self.one(method="/shop.Echo/Retried", body=body)["code"], "UNAVAILABLE")
        self.assertEqual(self.one(body={"key": "always"})["call"], 5, "one try and three more before this call")

    def test_another_status_and_another_route_are_not_tried_again(self) -> None:
        body = {"key": "other", "fail": "INVALID_ARGUMENT", "tries": 1}
        self.assertEqual(self.one(method="/shop.Echo/Retried", body=body)["code"], "INVALID_ARGUMENT")
        body = {"key": "unrouted", "fail": "UNAVAILABLE", "tries": 1}
        self.assertEqual(self.one(body=body)["code"], "UNAVAILABLE")

    def test_a_call_ends_with_the_routes_time_limit(self) -> None:
        answer = self.one(method="/shop.Echo/Limited", body={"sleep": 30}, timeout=60)
        self.assertEqual(answer["code"], "DEADLINE_EXCEEDED")
        self.assertLess(answer["seconds"], 30)
        self.assertEqual(self.one(method="/shop.Echo/Limited")["code"], "OK")
        self.assertEqual(self.one(body={"sleep": 3})["code"], "OK", "another route has no limit")


class Endpoints(Case):
    """Pods that come, go and are not ready."""

    @classmethod
    def prepare(cls) -> None:
        cls.scale(1)

    @classmethod
    def scale(cls, count: int, ready: bool = True) -> None:
        pods = [pod(f"echo-{n}", "echo", cls.mesh.address(2, n), ready=ready or n == 1) for n in range(1, count + 1)]
        cls.mesh.write("echo", cls.mesh.service("echo", "echo"), *pods)

    @classmethod
    def begin(cls) -> None:
        for number in (1, 2, 3):
            cls.mesh.plain_server(f"echo-{number}", cls.mesh.address(2, number))
        cls.client = cls.mesh.client("client")

    def test_calls_go_to_all_ready_pods_and_no_others(self) -> None:
        self.assertEqual(set(servers(self.call(count=30))), {"echo-1"})
        for count, ready, expected in ((3, True, {"echo-1", "echo-2", "echo-3"}), (3, False, {"echo-1"}), (2, True, {"echo-1", "echo-2"})):
            self.scale(count, ready)

            def are_followed() -> bool:
                self.assertEqual(set(servers(self.call(count=60))), expected)
                return True

            wait_for(f"{count} pods are followed", are_followed)


class Balancing(Case):
    """What a Service's annotations ask of its clients: each is first shown to be missing, then to work."""

    @classmethod
    def prepare(cls) -> None:
        cls.annotate("")

    @classmethod
    def annotate(cls, annotations: str) -> None:
        extra = f", annotations: {{{annotations}}}"
        pods = [pod(f"echo-{n}", "echo", cls.mesh.address(5, n)) for n in (1, 2, 3)]
        cls.mesh.write("echo", cls.mesh.service("echo", "echo", extra), *pods)

    @classmethod
    def begin(cls) -> None:
        for number in (1, 2, 3):
            cls.mesh.plain_server(f"echo-{number}", cls.mesh.address(5, number))

    def setUp(self) -> None:
        # What one test's calls have taught a client is no affair of the next.
        self.client = self.mesh.client("client")

    def tearDown(self) -> None:
        self.client.kill()
        self.annotate("")

    def test_a_header_chooses_the_endpoint_by_a_ring(self) -> None:
        def users(user: str) -> set:
            return set(servers(self.call(count=12, metadata=[["user", user]])))

        self.assertEqual(len(users("one")), 3, "in turn, at first")
        self.annotate("heddle.dev/hash-header: user")
        wait_for("the header chooses", lambda: len(users("one")) == 1)
        found = [users(f"user-{number}") for number in range(40)]
        self.assertEqual({len(one) for one in found}, {1}, "each user has one endpoint")
        self.assertEqual(len(set.union(*found)), 3, "all endpoints have users")

    def test_more_requests_at_a_time_than_allowed_fail_at_once(self) -> None:
        def flood() -> collections.Counter:
            return codes(self.call(count=12, parallel=12, body={"sleep": 2}, wait=False))

        self.assertEqual(flood(), {"OK": 12})
        self.annotate("heddle.dev/max-requests: '3'")

        def is_limited() -> bool:
            found = flood()
            self.assertGreaterEqual(found["OK"], 3, found)
            self.assertGreaterEqual(found["UNAVAILABLE"], 1, found)
            return True

        wait_for("some fail", is_limited)
        self.assertEqual(codes(self.call(count=12, parallel=3)), {"OK": 12})

    def test_an_endpoint_that_fails_is_left_alone(self) -> None:
        failing = {"fail": "UNAVAILABLE", "at": "echo-2"}

        def found() -> collections.Counter:
            return servers(self.call(count=60, body=failing))

        self.assertEqual(set(found()), {"echo-1", "echo-3", "UNAVAILABLE"})
        self.annotate("heddle.dev/outlier-failure-percentage: '50', heddle.dev/outlier-interval: 1s")
        wait_for("it is left alone", lambda: set(found()) == {"echo-1", "echo-3"})


class Security(Case):
    """Mutual TLS by certificates from the bootstrap's files, and policy at the server."""

    accounts = ("client", "stranger", "greeter", "impostor")
    policy = (
        "apiVersion: heddle.dev/v1alpha1\nkind: AuthorizationPolicy\nmetadata: {name: greeter, namespace: shop}\n"
        "spec:\n  podSelector: {matchLabels: {app: greeter}}\n  rules:\n"
        "    - sources: {serviceAccounts: [client]}\n      http: {paths: [{type: Exact, value: /shop.Echo/Say}]}\n"
    )

    @classmethod
    def prepare(cls) -> None:
        cls.mesh.write("greeter", cls.mesh.service("greeter", "greeter"), pod("greeter-a", "greeter", cls.mesh.address(3, 1), "greeter", "grpc"))

    @classmethod
    def begin(cls) -> None:
        cls.server = cls.mesh.xds_server("greeter-a", cls.mesh.address(3, 1), "greeter")
        cls.client = cls.mesh.client("client")
        cls.stranger = cls.mesh.client("stranger")

    def tearDown(self) -> None:
        for name in ("policy", "network"):
            if (self.mesh.manifests / f"{name}.yaml").exists():
                self.mesh.remove(name)
        for client in (self.client, self.stranger):
            self.until("without a policy everybody may call", "greeter-a", client=client, to="greeter")

    def test_both_sides_prove_who_they_are(self) -> None:
        answer = self.one(to="greeter")
        self.assertEqual((answer["code"], answer.get("peer")), ("OK", [identity("client")]), answer)

    def test_who_shows_no_certificate_is_not_let_in(self) -> None:
        plain = self.mesh.app("plain", None, "client")
        (answer,) = plain.order(target=authority(self.mesh.address(3, 1), PORT), wait=False)
        self.assertEqual(answer["code"], "UNAVAILABLE", answer)

    def test_a_server_of_another_identity_is_not_called(self) -> None:
        self.mesh.write("fake", self.mesh.service("fake", "fake"), pod("fake-a", "fake", self.mesh.address(3, 2), "impostor", "grpc"))
        fake = self.mesh.xds_server("fake-a", self.mesh.address(3, 2), "impostor")
        self.until("it answers under its own name", "fake-a", to="fake")
        # Now its address is told to be the greeter's.
        self.mesh.write("fake", self.mesh.service("fake", "fake"), pod("fake-a", "fake", self.mesh.address(3, 2), "greeter", "grpc"))

        def is_refused() -> bool:
            answer = self.one(self.stranger, "fake", wait=False)
            self.assertEqual(answer["code"], "UNAVAILABLE", answer)
            self.assertRegex(answer["details"], "(?i)certificate|verif|handshake|SAN")
            return True

        wait_for("the impostor is refused", is_refused)
        fake.kill()

    def test_policy_allows_by_service_account_and_method_and_is_followed(self) -> None:
        self.mesh.write("policy", self.policy)
        self.until("others are refused", "PERMISSION_DENIED", client=self.stranger, to="greeter")
        self.assertEqual(self.one(to="greeter")["code"], "OK")
        self.assertEqual(self.one(to="greeter", method="/shop.Echo/Shout")["code"], "PERMISSION_DENIED")
        self.mesh.write("policy", self.policy.replace("[client]", "[client, stranger]"))
        self.until("the stranger may call now", "greeter-a", client=self.stranger, to="greeter")

    def test_network_policy_counts_at_a_grpc_server(self) -> None:
        policy = (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: greeter, namespace: shop}\n"
            "spec: {podSelector: {matchLabels: {app: greeter}}, ingress: [{from: [{ipBlock: {cidr: 'CIDR'}}]}]}\n"
        )
        self.mesh.write("network", policy.replace("CIDR", self.family.elsewhere))
        self.until("nobody here is of that block", "PERMISSION_DENIED", to="greeter")
        self.mesh.write("network", policy.replace("CIDR", self.family.pods))
        self.until("everybody here is of that block", "greeter-a", to="greeter")

    def test_nobody_gets_a_certificate_or_a_stream_in_anothers_name(self) -> None:
        command = self.mesh.bootstrap_command("client", self.mesh.folder / "stolen")
        command[command.index(identity("client"))] = identity("greeter")
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("may not have a certificate", done.stderr)
        path = self.mesh.bootstrap("client")
        document = json.loads(path.read_text())
        document["node"]["id"] = identity("greeter")
        path.write_text(json.dumps(document))
        thief = self.mesh.app("thief", path, "client")
        answer = self.one(thief, "greeter", wait=False, timeout=10)
        self.assertEqual(answer["code"], "UNAVAILABLE", answer)
        self.assertIn("cannot speak for", answer["details"])
        document["node"]["metadata"]["role"] = "node"
        document["node"]["id"] = identity("client")
        path.write_text(json.dumps(document))
        spy = self.mesh.app("spy", path, "client")
        answer = self.one(spy, "greeter", wait=False, timeout=10)
        self.assertIn("is a workload", answer["details"])


class Lasting(Case):
    """What a client keeps when something goes away or wrong."""

    def resources(self, client: App, kind: str) -> dict[str, dict]:
        return {resource["name"]: resource for resource in client.order(do="status")["resources"] if resource["type"] == kind}

    def test_channels_and_processes_of_one_identity_are_served_alike(self) -> None:
        other = self.mesh.client("client")
        for client in (self.client, other):
            for number in range(3):
                for to in ("echo", "v1", "v2"):
                    self.assertEqual(self.one(client, to, channel=number)["server"], to)

    def test_a_process_may_have_more_targets_than_a_node_may_have_streams(self) -> None:
        self.mesh.write("many", *(self.mesh.service(f"many-{n}", "echo") for n in range(80)))
        for number in range(80):
            self.until("the Service is there", "echo", to=f"many-{number}")
        other = [name for name in self.resources(self.client, "Listener") if name.startswith("many-")]
        self.assertEqual(len(other), 80)
        self.mesh.remove("many")

    def test_a_service_that_is_removed_fails_its_own_calls_and_comes_back(self) -> None:
        keeping = self.mesh.client("client", "--ignore-resource-deletion")
        self.mesh.write("brief", self.mesh.service("brief", "echo"))
        for client in (self.client, keeping):
            self.until("it is there", "echo", client=client, to="brief")
        self.mesh.remove("brief")
        self.until("its calls fail", "UNAVAILABLE", to="brief", wait=False)
        self.assertEqual(self.one()["server"], "echo")
        self.assertEqual(self.one(keeping, "brief", wait=False).get("server"), "echo", "gRFC A53")
        self.mesh.write("brief", self.mesh.service("brief", "echo"))
        self.until("it is back", "echo", to="brief")
        self.mesh.remove("brief")

    def test_a_bad_route_changes_nothing(self) -> None:
        good = route("good", "v1", "    - {backendRefs: [{name: v2, port: 80}]}\n")
        self.mesh.write("route", good)
        self.until("the route is followed", "v2", to="v1")
        for bad in ("this is: [no YAML", good.replace("backendRefs:", "backendRefz:")):
            self.mesh.write("route", bad)
            # Something good that is written later has arrived: so the bad thing was read.
            self.mesh.write("marker", self.mesh.service("marker", "echo"))
            self.until("a later change arrives", "echo", to="marker")
            self.mesh.remove("marker")
            self.until("the later change is gone", "UNAVAILABLE", to="marker", wait=False)
            self.assertIn(self.one(to="v1", wait=False).get("server"), ("v2",), bad)
        self.mesh.remove("route")
        self.until("without a route", "v1", to="v1")

    def test_what_only_grpc_refuses_leaves_it_its_last_good_and_is_told(self) -> None:
        good = route("picky", "v1", "    - {backendRefs: [{name: v2, port: 80}]}\n")
        self.mesh.write("route", good)
        self.until("the route is followed", "v2", to="v1")
        # An expression of our syntax that RE2 does not know.
        header = "{name: a, type: RegularExpression, value: '(?x) yes'}"
        self.mesh.write("route", good.replace("{backendRefs: [{name: v2", f"{{matches: [{{headers: [{header}]}}], backendRefs: [{{name: echo"))

        def is_told() -> bool:
            found = self.mesh.status()
            self.assertIn("GRPCRoute shop/picky", found.stdout)
            self.assertNotEqual(found.returncode, 0)
            return True

        wait_for("heddle status names the route", is_told)
        wait_for("the route's own status says so", lambda: "Refused" in self.mesh.conditions("grpcRoutes", "shop/picky"))
        self.assertEqual(self.one(to="v1")["server"], "v2")
        self.assertEqual(self.one(to="echo")["server"], "echo", "only this target is concerned")
        self.mesh.write("route", good.replace("name: v2", "name: echo"))
        self.until("a good route is followed again", "echo", to="v1")
        wait_for("the route's own status is good again", lambda: "Refused" not in self.mesh.conditions("grpcRoutes", "shop/picky"))
        self.mesh.remove("route")
        self.until("without a route", "v1", to="v1")

    def test_calls_go_on_while_the_control_plane_is_away_and_changes_arrive_when_it_is_back(self) -> None:
        self.assertEqual(self.one()["server"], "echo")
        self.mesh.control_plane.kill()
        found = codes(self.call(count=200, parallel=4))
        self.assertEqual(found, {"OK": 200})
        self.mesh.write("route", route("after", "echo", "    - {backendRefs: [{name: v2, port: 80}]}\n"))
        self.mesh.start_control_plane()
        self.until("the change arrives", "v2")
        self.mesh.remove("route")
        self.until("and its removal", "echo")


class Inspection(Case):
    """What can be asked about it."""

    def test_a_client_tells_by_csds_what_it_has_accepted(self) -> None:
        self.assertEqual(self.one()["code"], "OK")
        resources = self.client.order(do="status")["resources"]
        of_echo = {(r["type"], r["status"]) for r in resources if r["name"] in ("echo.shop.svc.cluster.local:80", "shop/echo:80")}
        kinds = ("Listener", "RouteConfiguration", "Cluster", "ClusterLoadAssignment")
        self.assertEqual(of_echo, {(kind, "ACKED") for kind in kinds}, resources)
        self.assertEqual([r for r in resources if r["error"]], [])

    def test_a_client_can_be_asked_over_the_wire_as_grpcdebug_does(self) -> None:
        self.assertEqual(self.one()["code"], "OK")
        loopback = self.family.loopback
        port = self.client.order(do="serve_status", address=authority(loopback, 0))["port"]
        (config,) = (config for config in ask(authority(loopback, port)).config if config.client_scope.endswith("/echo.shop.svc.cluster.local:80"))
        self.assertEqual(config.node.id, identity("client"))
        self.assertEqual({resource.client_status for resource in config.generic_xds_configs}, {ACKED})

    def test_the_control_plane_tells_by_csds_what_a_grpc_client_should_have_and_has(self) -> None:
        self.assertEqual(self.one()["code"], "OK")

        def is_in_step() -> bool:
            answer = ask(self.mesh.admin_address)
            found = [config for config in answer.config if config.node.id == identity("client")]
            self.assertEqual(len(found), 1, answer)
            statuses = {(r.type_url.rsplit(".", 1)[-1], r.name): r.config_status for r in found[0].generic_xds_configs}
            for kind in ("Listener", "RouteConfiguration", "Cluster"):
                self.assertEqual(statuses.get((kind, "echo.shop.svc.cluster.local:80")), SYNCED, statuses)
            return True

        wait_for("the client is in step", is_in_step)

    def test_a_program_and_the_control_plane_tell_of_the_same_resources_and_bytes(self) -> None:
        """What `grpcdebug ADDRESS xds config` shows of either side."""
        self.assertEqual(self.one()["code"], "OK")
        address = authority(self.family.loopback, 0)
        program = authority(self.family.loopback, self.client.order(do="serve_status", address=address)["port"])

        def told(configs: list) -> dict:
            of_client = (config for config in configs if config.node.id == identity("client"))
            resources = [resource for config in of_client for resource in config.generic_xds_configs]
            return {(r.type_url, r.name): (r.client_status, r.xds_config.value, r.version_info) for r in resources}

        def is_same(versions: bool) -> bool:
            accepted, wanted = told(ask(program).config), told(ask(self.mesh.admin_address).config)
            self.assertGreaterEqual(len(accepted), 4, accepted)
            self.assertEqual(set(accepted), set(wanted))
            for name, (*content, version) in accepted.items():
                self.assertEqual(content, list(wanted[name][:-1]), name)
                if versions:
                    self.assertEqual(version, wanted[name][-1], name)
            return True

        wait_for("both tell the same, each resource at the same version", lambda: is_same(versions=True))
        rules = "    - {backendRefs: [{name: v1, port: 80, weight: 1}, {name: v2, port: 80, weight: 1}]}\n"
        self.mesh.write("route", route("told", "echo", rules))
        self.addCleanup(self.mesh.remove, "route")
        self.until("the route is followed", "v1")
        # Of several resources in one response a program knows only the response's version (the state of the world has no other).
        wait_for("both tell the same of the new route", lambda: is_same(versions=False))

    def test_heddle_status_shows_grpc_clients_in_step_and_nothing_refused(self) -> None:
        self.assertEqual(self.one()["code"], "OK")
        def is_told() -> bool:
            done = self.mesh.status()
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn(identity("client"), done.stdout)
            self.assertNotIn("refuses", done.stdout)
            return True

        wait_for("heddle status tells of the client", is_told)


class Replicas(Case):
    """A client whose stream is at one control plane, and whose certificate another one has signed."""

    def certificate(self, of: str) -> str | None:
        """When the client's runs out, by what these control planes know."""
        done = self.mesh.status("--output", "json", of=of)
        (row,) = (row for row in json.loads(done.stdout)["items"] if row["name"] == identity("traveller"))
        return row["certificateExpires"]

    accounts = ("client", "traveller")

    def test_the_end_of_a_certificate_is_known_whichever_control_plane_has_signed_it(self) -> None:
        port, admin = self.mesh.start_second()
        path = self.mesh.bootstrap("traveller")
        path.write_text(path.read_text().replace(f":{self.mesh.port}", f":{port}"))
        traveller = self.mesh.app("traveller", path, "client")
        self.assertEqual(self.one(traveller)["code"], "OK")
        self.assertIsNone(self.certificate(admin), "it has signed nothing")
        self.assertRegex(self.certificate(f"{admin},{self.mesh.admin_address}"), r"^20\d\d-")


class Fresh(Case):
    """Certificates that are renewed under running programs."""

    accounts = ("client", "greeter")

    @classmethod
    def prepare(cls) -> None:
        cls.mesh.write("greeter", cls.mesh.service("greeter", "greeter"), pod("greeter-a", "greeter", cls.mesh.address(4, 1), "greeter", "grpc"))

    @classmethod
    def begin(cls) -> None:
        cls.server = cls.mesh.xds_server("greeter-a", cls.mesh.address(4, 1), "greeter")

    def test_a_watched_certificate_is_replaced_before_it_ends_and_calls_go_on(self) -> None:
        folder = self.mesh.folder / "watched"
        # The shortest life that the authority gives: renewed after half of it.
        command = self.mesh.bootstrap_command("client", folder, "--watch", "--validity", "60")
        keeper = self.mesh.run("keeper", command)
        wait_for("the bootstrap file is there", (folder / "bootstrap.json").exists)
        first = (folder / "certificate.pem").read_text()
        client = self.mesh.app("client", folder / "bootstrap.json", "client")
        self.assertEqual(self.one(client, "greeter")["peer"], [identity("client")])
        wait_for("another certificate", lambda: (folder / "certificate.pem").read_text() != first)
        # Past the end of the first: changes of a target that was known before still arrive, on a connection with the new one.
        ended = 'x509 -checkend 0 -noout -in'.split()
        old = self.mesh.folder / "first.pem"
        old.write_text(first)
        wait_for("the first certificate has ended", lambda: subprocess.run(["openssl", *ended, old], capture_output=True).returncode, 120)
        self.assertEqual(self.one(client, "greeter", method="/shop.Echo/Other")["code"], "OK")
        rules = "    - {matches: [{method: {service: shop.Echo, method: Say}}], backendRefs: [{name: greeter, port: 80}]}\n"
        self.mesh.write("route", route("late", "greeter", rules))
        self.until("the route arrives", "UNAVAILABLE", client=client, to="greeter", method="/shop.Echo/Other", wait=False)
        self.assertEqual(self.one(client, "greeter")["code"], "OK")
        self.assertTrue(keeper.is_running(), keeper.tail())
        keeper.terminate()
        self.assertEqual(keeper.child.returncode, 0)


class Bootstrap(Case):
    """What `heddle grpc-bootstrap` says when it cannot."""

    def refused(self, change: str, to: object, says: str) -> None:
        command = self.mesh.bootstrap_command("client", self.mesh.folder / "none")
        command[command.index(change) + 1] = to
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(says, done.stderr)

    @classmethod
    def begin(cls) -> None:
        pass

    def test_errors_name_what_is_wrong(self) -> None:
        self.refused("--control-plane", "localhost:1", "no certificate for")
        self.refused("--control-plane", "localhost", "expected host:port")
        self.refused("--roots", "/nowhere", "the roots /nowhere")
        self.refused("--roots", os.devnull, "no PEM certificate in it")
        self.refused("--token-file", os.devnull, "token")
        self.refused("--identity", "client", "spiffe")
        self.assertFalse((self.mesh.folder / "none/bootstrap.json").exists())


if __name__ == "__main__":
    unittest.main()
