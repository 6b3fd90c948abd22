#!/usr/bin/env python3
"""Checks that the programs of an image work with nothing but the image: `check.py TARBALL RULES...`.

In a root that has only the image's files and a network of its own: every program starts, `nft` applies the rules of each file, and a name is
looked up by `/etc/resolv.conf`. Runs as root, or where the kernel lets users make namespaces.
"""

import fcntl
import io
import json
import os
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
from pathlib import Path

from image import PROGRAMS
from oci import read

NAME, ADDRESS = "heddle-control-plane.heddle-system.svc", "192.0.2.7"
SEARCHED = "heddle-control-plane.heddle-system"
"""What is asked for: the rest comes from the search list, as in a pod."""
INSIDE = "--inside"


class Failure(Exception):
    """The image is not as it should be."""


def main() -> int:
    if sys.argv[1] == INSIDE:
        inside(Path(sys.argv[2]), [Path(path) for path in sys.argv[3:]])
        return 0
    _, layer = read(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            archive.extractall(folder, filter="data")
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        rules = [str(Path(path).resolve()) for path in sys.argv[2:]]
        return subprocess.run(["unshare", *user, "--net", sys.executable, __file__, INSIDE, folder, *rules], check=False).returncode


def inside(root: Path, rules: list[Path]) -> None:
    """In the network that was made for it."""
    loopback_up()
    for program in PROGRAMS:
        if program == "heddle-cni":
            # A CNI plugin is told by its environment what to do.
            run(root, "/heddle-cni", given='{"cniVersion": "1.0.0"}', CNI_COMMAND="VERSION")
        else:
            run(root, f"/{program}", "--help")
    for path in rules:
        run(root, "nft", "-f", "-", given=path.read_text())
    tables = run(root, "nft", "list", "ruleset").count("table inet ")
    if rules and tables == 0:
        raise Failure("nft has applied the rules, and there are none")
    print(f"images: every program starts in the image alone; nft applied {len(rules)} files: {tables} tables", file=sys.stderr)

    (root / "etc/resolv.conf").write_text("search svc\nnameserver 127.0.0.1\noptions ndots:5\n")
    threading.Thread(target=serve_names, args=(name_server(),), daemon=True).start()
    found = json.loads(run(root, "/heddle", "probe", "resolve", SEARCHED))
    if found["addresses"] != [ADDRESS]:
        raise Failure(f"the static programs do not look names up by /etc/resolv.conf: {found}")
    print("images: names are looked up by /etc/resolv.conf", file=sys.stderr)


def run(root: Path, *command: str, given: str = "", **environment: str) -> str:
    """What a program of the image printed."""
    def enter() -> None:
        os.chroot(root)
        os.chdir("/")

    environment["PATH"] = "/usr/sbin:/usr/bin"
    done = subprocess.run(command, input=given, text=True, capture_output=True, check=False, env=environment, preexec_fn=enter)
    if done.returncode != 0:
        raise Failure(f"in the image, {' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def loopback_up() -> None:
    """As `ip link set lo up`: SIOCGIFFLAGS, IFF_UP, SIOCSIFFLAGS."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, 0x8913, struct.pack("16sh22x", b"lo", 0)))[1]
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh22x", b"lo", flags | 1))


def name_server() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 53))
    return listener


def serve_names(listener: socket.socket) -> None:
    while True:
        query, client = listener.recvfrom(512)
        listener.sendto(answer(query), client)


def answer(query: bytes) -> bytes:
    """The answer of a name server that knows one name, which has one IPv4 address (RFC 1035, section 4)."""
    end = query.index(0, 12)
    labels, at = [], 12
    while at < end:
        labels.append(query[at + 1:at + 1 + query[at]].decode())
        at += 1 + query[at]
    question = query[12:end + 5]
    known = ".".join(labels).lower() == NAME
    is_a = known and question[-4:] == struct.pack("!HH", 1, 1)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 5, 4) + socket.inet_aton(ADDRESS) if is_a else b""
    # Response, authoritative, recursion desired and available; NXDOMAIN for every other name.
    head = query[:2] + struct.pack("!HHHHH", 0x8580 | (0 if known else 3), 1, 1 if is_a else 0, 0, 0)
    return head + question + record


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"images: {failure}")
