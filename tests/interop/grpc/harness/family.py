"""Addresses of one family of IP, all of them this machine's own."""

import contextlib
import dataclasses
import ipaddress
import random
import socket


@dataclasses.dataclass(frozen=True)
class Family:
    """`pods` is a block that every address of is local: 127.0.0.0/8, or one that run.sh has made so in a network namespace."""

    name: str
    loopback: str
    pods: str
    services: str
    # A block that nobody here is of.
    elsewhere: str
    socket: socket.AddressFamily

    def pod(self, group: int, number: int) -> str:
        """The address of a pod: its group keeps classes of tests apart."""
        return str(ipaddress.ip_network(self.pods)[(group << 8) + number])

    def service(self, number: int) -> str:
        return str(ipaddress.ip_network(self.services)[number])

    def free_port(self) -> int:
        """Below the range that the kernel takes ports of connections from: one of those can be gone when a program asks for it."""
        while True:
            port = random.randrange(10_000, 32_768)
            with socket.socket(self.socket) as probe, contextlib.suppress(OSError):
                probe.bind((self.loopback, port))
                return port


def authority(host: str, port: int) -> str:
    """Host and port as a URI has them (RFC 3986 section 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


IPV4 = Family("IPv4", "127.0.0.1", "127.0.0.0/8", "10.96.0.0/16", "10.0.0.0/8", socket.AF_INET)
IPV6 = Family("IPv6", "::1", "fd00:6d::/64", "fd00:5e::/112", "fd00:e1::/64", socket.AF_INET6)
