"""Traffic through Envoy goes as the routes say: the same routes, attached to a Gateway and to a Service, in both roles and both variants."""

import json
import unittest

from mesh_site import Site, get, wait
from pods import Server

HOSTS = {"gateway": ("127.0.0.1", 80, "www.example.com"), "client": ("127.0.0.1", 15001, "stable.shop")}
PODS = {"stable-1": "10.244.1.1", "stable-2": "10.244.1.2", "canary-1": "10.244.1.3", "flaky-1": "10.244.1.4", "slow-1": "10.244.1.5"}

WORLD = """
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {addresses: [{type: InternalIP, address: 10.1.0.1}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: heddle}
spec: {controllerName: heddle.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {namespace: shop, name: web}
spec: {gatewayClassName: heddle, listeners: [{name: http, port: 80, protocol: HTTP, hostname: www.example.com}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: all}
spec:
  parentRefs: [{name: web}, {group: "", kind: Service, name: stable, port: 80}]
  rules:
  - matches: [{path: {value: /split}}]
    backendRefs: [{name: stable, port: 80, weight: 90}, {name: canary, port: 80, weight: 10}, {name: flaky, port: 80, weight: 0}]
  - matches: [{path: {value: /exact/path, type: Exact}}]
    backendRefs: [{name: canary, port: 80}]
  - matches: [{path: {value: "/v[0-9]+/items", type: RegularExpression}}]
    backendRefs: [{name: canary, port: 80}]
  - matches: [{path: {value: /match}, headers: [{name: x-canary, value: "always"}]}]
    backendRefs: [{name: canary, port: 80}]
  - matches: [{path: {value: /match}, method: PUT}]
    backendRefs: [{name: canary, port: 80}]
  - matches: [{path: {value: /match}, queryParams: [{name: to, value: canary}]}]
    backendRefs: [{name: canary, port: 80}]
  - matches: [{path: {value: /match}}]
    backendRefs: [{name: stable, port: 80}]
  - matches: [{path: {value: /prefix}}]
    filters: [{type: URLRewrite, urlRewrite: {hostname: other.example.com, path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}}}]
    backendRefs: [{name: stable, port: 80}]
  - matches: [{path: {value: /away}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: stable, port: 80}]
  - matches: [{path: {value: /full}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /whole}}}]
    backendRefs: [{name: stable, port: 80}]
  - matches: [{path: {value: /headers}}]
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-set, value: new}], add: [{name: x-add, value: second}], remove: [x-remove]}
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: x-server, value: hidden}], add: [{name: x-added, value: "yes"}], remove: [x-secret]}
    backendRefs: [{name: stable, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: shop, name: more}
spec:
  parentRefs: [{name: web}, {group: "", kind: Service, name: stable, port: 80}]
  rules:
  - matches: [{path: {value: /moved}}]
    filters: [{type: RequestRedirect, requestRedirect: {scheme: https, hostname: new.example.com, port: 8443, statusCode: 301,
      path: {type: ReplacePrefixMatch, replacePrefixMatch: /here}}}]
  - matches: [{path: {value: /found}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example.com, path: {type: ReplaceFullPath, replaceFullPath: /all}}}]
  - matches: [{path: {value: /retried}}]
    retry: {codes: [503], attempts: 3, backoff: 10ms}
    backendRefs: [{name: flaky, port: 80}]
  - matches: [{path: {value: /once}}]
    backendRefs: [{name: flaky, port: 80}]
  - matches: [{path: {value: /impatient}}]
    timeouts: {request: 500ms}
    backendRefs: [{name: slow, port: 80}]
  - matches: [{path: {value: /half}}]
    backendRefs: [{name: stable, port: 80}, {name: missing, port: 80}]
  - matches: [{path: {value: /missing}}]
    backendRefs: [{name: missing, port: 80}]
  - matches: [{path: {value: /nothing}}]
  - matches: [{path: {value: /empty}}]
    backendRefs: [{name: empty, port: 80}]
"""


def objects():
    documents = [WORLD]
    for name, address in PODS.items():
        app = name.split("-")[0]
        documents.append(f"""
apiVersion: v1
kind: Pod
metadata: {{namespace: shop, name: {name}, uid: {name}, labels: {{app: {app}}}}}
spec: {{nodeName: node-a, serviceAccountName: {app}, containers: [{{name: c, ports: [{{containerPort: 8080}}]}}]}}
status: {{phase: Running, podIP: {address}, podIPs: [{{ip: {address}}}], conditions: [{{type: Ready, status: "True"}}]}}
""")
    for number, app in enumerate(("stable", "canary", "flaky", "slow", "empty"), 1):
        documents.append(f"""
apiVersion: v1
kind: Service
metadata: {{namespace: shop, name: {app}}}
spec: {{clusterIP: 10.96.0.{number}, selector: {{app: {app}}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
""")
    return "---".join(documents)


class Traffic:
    """What is asked of each role and variant."""

    role = ""
    api = ""

    @classmethod
    def setUpClass(cls):
        cls.addClassCleanup(lambda: [server.close() for server in cls.pods.values()])
        cls.pods = {}
        for name, address in PODS.items():
            cls.pods[name] = Server(name, address)
        cls.pods["slow-1"].delay = 3
        cls.site = Site()
        cls.addClassCleanup(cls.site.close)
        cls.site.put(objects())
        metadata = {"gateway": "{role: gateway, gateway: shop/web}", "client": "{role: client}"}[cls.role]
        cls.envoy = cls.site.envoy("envoy", "spiffe://cluster.local/ns/shop/sa/edge", metadata, cls.api, 9901)
        wait(lambda: cls.site.asked("/debug/problems"), lambda: cls.site.asked("/debug/status"))
        problems = cls.site.asked("/debug/problems")["problems"]
        assert len(problems) == 2 and all('no Service "shop/missing"' in problem for problem in problems), problems
        wait(lambda: f"no way through Envoy: refused {cls.envoy.refusals()}\n{cls.envoy.program.tail()}", cls.open)

    @classmethod
    def open(cls):
        cls.envoy.program.alive()
        try:
            return cls.ask("/match", headers={"x-canary": "always"})[1]["x-server"] == "canary-1"
        except OSError:
            return False

    @classmethod
    def ask(cls, path, method="GET", headers=None, host=None):
        address, port, name = HOSTS[cls.role]
        headers = {"host": host or name, **(headers or {})}
        if cls.role == "client":
            path = f"http://{headers['host']}{path}"  # as to any HTTP proxy (RFC 9112 section 3.2.2)
        return get(port, path, address, method, headers)

    def answer(self, *arguments, **more):
        status, headers, body = self.ask(*arguments, **more)
        self.assertEqual(status, 200, body)
        return json.loads(body)

    def server(self, *arguments, **more):
        return self.answer(*arguments, **more)["server"].split("-")[0]

    def test_requests_are_split_by_weight_and_weight_zero_gets_none(self):
        shares = {"stable": 0, "canary": 0, "flaky": 0}
        for _ in range(1000):
            shares[self.server("/split")] += 1
        print(f"  {self.role}: {shares}")
        self.assertEqual(shares["flaky"], 0)
        # 100 expected; five standard deviations of a fair draw are 47.
        self.assertTrue(53 <= shares["canary"] <= 147, shares)

    def test_all_endpoints_of_a_service_are_used(self):
        self.assertEqual({self.answer("/match")["server"] for _ in range(200)}, {"stable-1", "stable-2"})

    def test_conditions_on_path_header_method_and_query_choose_the_rule(self):
        for path, to in (("/exact/path", "canary"), ("/v12/items", "canary"), ("/match", "stable"), ("/match/deeper", "stable"),
                         ("/match?to=canary", "canary"), ("/match?to=elsewhere", "stable")):
            self.assertEqual(self.server(path), to, path)
        self.assertEqual(self.server("/match", headers={"x-canary": "always"}), "canary")
        self.assertEqual(self.server("/match", headers={"x-canary": "never"}), "stable")
        self.assertEqual(self.server("/match", method="PUT"), "canary")
        for path in ("/exact/path/deeper", "/v12/items/deeper", "/vx/items", "/matching", "/unknown"):
            self.assertEqual(self.ask(path)[0], 404, path)

    def test_paths_and_hosts_are_rewritten(self):
        for path, to in (("/prefix/a?b=c", "/new/a?b=c"), ("/prefix", "/new"), ("/away/a", "/a"), ("/away", "/"), ("/full/a", "/whole")):
            self.assertEqual(self.answer(path)["path"], to, path)
        self.assertEqual(self.answer("/prefix")["headers"]["host"], ["other.example.com"])
        self.assertEqual(self.answer("/full")["headers"]["host"], [HOSTS[self.role][2]])

    def test_headers_are_set_added_and_removed(self):
        status, headers, body = self.ask("/headers", headers={"x-set": "old", "x-add": "first", "x-remove": "this", "x-kept": "that"})
        self.assertEqual(status, 200)
        seen = json.loads(body)["headers"]
        self.assertEqual((seen["x-set"], seen["x-kept"]), (["new"], ["that"]))
        self.assertEqual(",".join(seen["x-add"]).replace(" ", ""), "first,second")
        self.assertNotIn("x-remove", seen)
        self.assertEqual((headers["x-server"], headers["x-added"], headers["x-secret"]), ("hidden", "yes", None))

    def test_of_envoys_own_only_the_address_of_a_client_from_outside_is_told(self):
        _, headers, body = self.ask("/match")
        told = [name for name in [*headers, *json.loads(body)["headers"]] if name.lower().startswith("x-envoy")]
        self.assertEqual(told, ["x-envoy-external-address"] if self.role == "gateway" else [])

    def test_redirects_say_where_to(self):
        for path, status, to in (("/moved/a", 301, "https://new.example.com:8443/here/a"), ("/found/a", 302, "http://new.example.com/all")):
            told, headers, _ = self.ask(path)
            self.assertEqual((told, headers["location"]), (status, to), path)

    def test_failures_are_retried_as_often_as_the_route_says(self):
        pod = self.pods["flaky-1"]
        pod.failures, before = 3, pod.asked
        self.assertEqual(self.ask("/retried")[0], 200)
        self.assertEqual(pod.asked - before, 4)
        pod.failures, before = 10, pod.asked
        self.assertEqual(self.ask("/retried")[0], 503)
        self.assertEqual(pod.asked - before, 4)
        pod.failures, before = 1, pod.asked
        self.assertEqual(self.ask("/once")[0], 503)
        self.assertEqual(pod.asked - before, 1)
        pod.failures = 0

    def test_a_request_that_takes_longer_than_the_route_allows_ends(self):
        self.assertEqual(self.ask("/impatient")[0], 504)

    def test_what_has_no_backend_is_refused(self):
        for path, status in (("/missing", 500), ("/nothing", 500), ("/empty", 503)):
            self.assertEqual(self.ask(path)[0], status, path)
        answers = [self.ask("/half")[0] for _ in range(200)]
        self.assertEqual(set(answers), {200, 500})
        # 100 expected; five standard deviations are 35.
        self.assertTrue(65 <= answers.count(500) <= 135, answers.count(500))

    def test_an_unknown_host_is_not_found(self):
        self.assertEqual(self.ask("/match", host="unknown.example.com")[0], 404)

    def test_nothing_was_refused(self):
        self.assertEqual(self.envoy.refusals(), {})


class GatewayByDelta(Traffic, unittest.TestCase):
    role, api = "gateway", "DELTA_GRPC"


class ClientByDelta(Traffic, unittest.TestCase):
    role, api = "client", "DELTA_GRPC"

    def test_a_service_is_known_by_all_its_names(self):
        for name in ("stable.shop", "stable.shop:80", "stable.shop.svc", "stable.shop.svc.cluster.local", "STABLE.shop.svc.cluster.local:80"):
            self.assertEqual(self.server("/match", host=name), "stable", name)
        self.assertEqual(self.server("/whatever", host="canary.shop"), "canary")


class GatewayByStateOfTheWorld(Traffic, unittest.TestCase):
    role, api = "gateway", "GRPC"


class ClientByStateOfTheWorld(Traffic, unittest.TestCase):
    role, api = "client", "GRPC"
