"""Proxyless gRPC: real clients and servers of gRPC's C-core (PyPI grpcio) on the streams of a real control plane. Times are not judged."""

import unittest

from harness.mesh import Mesh, pod, service, target


class Calls(unittest.TestCase):
    """The first call."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.mesh = Mesh()
        cls.addClassCleanup(cls.mesh.end)
        cls.mesh.write("echo", service("echo", "echo"), pod("echo-a", "echo", "127.0.1.1"))
        cls.mesh.start("client")
        cls.mesh.plain_server("echo-a", "127.0.1.1")
        cls.client = cls.mesh.client("client")

    def test_a_target_is_the_services_name_and_port(self) -> None:
        (answer,) = self.client.order(target=target("echo"))
        self.assertEqual(answer["code"], "OK", answer)
        self.assertEqual(answer["server"], "echo-a")


if __name__ == "__main__":
    unittest.main()
