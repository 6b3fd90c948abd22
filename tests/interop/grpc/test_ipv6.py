"""Scenarios of test_grpc.py on a machine without IPv4: run.sh runs these in a network namespace that has `::1` and pods of fd00:6d::/64 only."""

import socket
import unittest

import test_grpc
from harness.family import IPV4, IPV6
from harness.mesh import pod
from harness.process import wait_for


def setUpModule() -> None:
    with socket.socket(socket.AF_INET) as probe:
        try:
            probe.bind((IPV4.loopback, 0))
        except OSError:
            return
    raise AssertionError("this machine has IPv4, so that nothing would be shown: scripts/interop.sh grpc makes one without")


class Routing(test_grpc.Routing):
    """Routes and weights; the control plane is reached by its address."""

    family = IPV6

    def test_calls_arrive_over_ipv6(self) -> None:
        answer = self.one()
        self.assertRegex(answer["from"], r"^ipv6:%5Bfd00:6d::", answer)


class Endpoints(test_grpc.Endpoints):
    """Pods, and slices that no selector has made."""

    family = IPV6

    def test_a_slice_of_the_family_gives_endpoints_to_a_service_without_a_selector(self) -> None:
        self.mesh.write("sliced", self.mesh.service("sliced", None), self.mesh.slice("sliced", self.mesh.address(2, 2), self.mesh.address(2, 3)))

        def are_both() -> bool:
            self.assertEqual(set(test_grpc.servers(self.call(to="sliced", count=20))), {"echo-2", "echo-3"})
            return True

        wait_for("both are called", are_both)


class Security(test_grpc.Security):
    """Mutual TLS and policy."""

    family = IPV6


class Inspection(test_grpc.Inspection):
    """`heddle status` and CSDS."""

    family = IPV6


class Single(test_grpc.Case):
    """Pods of two families behind a Service of one."""

    family = IPV6

    @classmethod
    def prepare(cls) -> None:
        address = cls.mesh.address(6, 1)
        both = pod("echo", "echo", address).replace(f"podIPs: [{{ip: '{address}'}}]", f"podIPs: [{{ip: '{address}'}}, {{ip: 10.244.6.1}}]")
        cls.mesh.write("echo", cls.mesh.service("echo", "echo"), both)

    @classmethod
    def begin(cls) -> None:
        cls.mesh.plain_server("echo", cls.mesh.address(6, 1))
        cls.client = cls.mesh.client("client")

    def test_only_addresses_of_the_services_family_are_called(self) -> None:
        answers = self.call(count=20)
        self.assertEqual(test_grpc.servers(answers), {"echo": 20}, answers)


if __name__ == "__main__":
    unittest.main()
