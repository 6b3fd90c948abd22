"""The nodes' networks: one namespace each, joined by a bridge on the host that also carries the control plane's address."""

import subprocess
from pathlib import Path

from . import layout
from .layout import Address, Family, Node
from .process import run


def families() -> tuple[Family, ...]:
    """The IP versions that this machine has."""
    return (layout.IPV4, layout.IPV6) if Path("/proc/sys/net/ipv6").exists() else (layout.IPV4,)


def create(families: tuple[Family, ...]) -> None:
    """Makes the bridge and all namespaces, with routes between the nodes' pods and from the host to them."""
    bridge = layout.BRIDGE
    run("ip", "link", "add", bridge, "type", "bridge")
    add_addresses(("ip",), bridge, [(family, family.host) for family in families])
    for node in layout.NODES:
        create_node(node, families)
        for family in families:
            run("ip", "route", "add", node.pods(family), "via", node.address(family))


def create_node(node: Node, families: tuple[Family, ...]) -> None:
    run("ip", "netns", "add", node.namespace)
    run("ip", "link", "add", node.link, "type", "veth", "peer", "name", "eth0", "netns", node.namespace)
    run("ip", "link", "set", node.link, "master", layout.BRIDGE, "up")
    inside = ("ip", "-n", node.namespace)
    run(*inside, "link", "set", "lo", "up")
    add_addresses(inside, "eth0", [(family, node.address(family)) for family in families])
    for family in families:
        run(*inside, "route", "add", "default", "via", family.host)
        for other in layout.NODES:
            if other != node:
                run(*inside, "route", "add", other.pods(family), "via", other.address(family))


def add_addresses(ip: tuple[str, ...], link: str, addresses: list[tuple[Family, Address]]) -> None:
    """Gives a link its addresses and sets it up. Nobody else has them, so IPv6 need not look for a duplicate first."""
    for family, address in addresses:
        run(*ip, "address", "add", f"{address}/{family.nodes.prefixlen}", "dev", link, *(["nodad"] if address.version == 6 else []))
    run(*ip, "link", "set", link, "up")


def left() -> list[str]:
    """The cluster's links and namespaces that exist."""
    links = [link for link in (layout.BRIDGE, *(node.link for node in layout.NODES)) if exists("ip", "link", "show", link)]
    namespaces = run("ip", "netns", "list").split()
    return [f"link {link}" for link in links] + [f"namespace {node.namespace}" for node in layout.NODES if node.namespace in namespaces]


def remove() -> None:
    """Removes what `create` made, as far as it exists; the host's routes go with the bridge."""
    namespaces = run("ip", "netns", "list").split()
    for node in layout.NODES:
        if exists("ip", "link", "show", node.link):
            run("ip", "link", "delete", node.link)
        if node.namespace in namespaces:
            run("ip", "netns", "delete", node.namespace)
    if exists("ip", "link", "show", layout.BRIDGE):
        run("ip", "link", "delete", layout.BRIDGE)


def exists(*command: str) -> bool:
    return subprocess.run(command, capture_output=True).returncode == 0
