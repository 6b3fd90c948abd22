#!/usr/bin/env python3
"""Writes Heddle's container image as an OCI layout in a tar file, with an SBOM inside and beside it. The same input gives the same bytes.

`scripts/images.sh` builds the programs and calls this. There is no shell in the image: Heddle's own programs are static, and of others it has
`nft` and `ip`, which set packet rules and routes, with the libraries that they name.
"""

import argparse
import json
import sys
from pathlib import Path

from layout import Entry, closure, write_image
from sbom import document, packages

DESCRIPTION = "A service mesh for Kubernetes without sidecars"
SOURCE = "https://github.com/heddle-mesh/heddle"
SBOM_PATH = "usr/share/sbom/heddle.spdx.json"
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "ipv6-icmp": 58, "sctp": 132, "udplite": 136}
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nheddle:x:65532:65532:heddle:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nheddle:x:65532:\n",
    # The C library's order of name services where nothing says.
    "etc/nsswitch.conf": "hosts: files dns\nprotocols: files\n",
    # nft looks up the protocols that its rules name (numbers as IANA has assigned them).
    "etc/protocols": "".join(f"{name} {number} {name.upper()}\n" for name, number in PROTOCOLS.items()),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help="folder with the static programs")
    parser.add_argument("--tool", type=Path, action="append", default=[], help="a program of the system to take along, with its libraries")
    parser.add_argument("--tool-package", action="append", default=[], help="NAME=VERSION of a system package that these came from")
    parser.add_argument("--metadata", type=Path, required=True, help="output of `cargo metadata`")
    parser.add_argument("--reference", required=True, help="full name and tag")
    parser.add_argument("--revision", required=True)
    parser.add_argument("--created", type=int, required=True, help="seconds since 1970: the commit's")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    programs = sorted(path for path in arguments.programs.iterdir() if path.is_file())
    metadata = json.loads(arguments.metadata.read_text())
    tools = dict(entry.split("=", 1) for entry in arguments.tool_package)
    sbom = document(arguments.reference, arguments.created, packages(metadata, {path.name for path in programs}), tools)
    files = {path.name: Entry(path.read_bytes(), 0o755) for path in programs}
    for tool in arguments.tool:
        for path in closure(tool):
            mode = 0o755 if path == tool or "ld-linux" in path.name else 0o644
            files[str(path).lstrip("/")] = Entry(path.read_bytes(), mode)
    files |= {path: Entry(text.encode(), 0o644) for path, text in ACCOUNTS.items()}
    files[SBOM_PATH] = Entry(sbom, 0o644)
    labels = {
        "org.opencontainers.image.title": "heddle",
        "org.opencontainers.image.description": DESCRIPTION,
        "org.opencontainers.image.source": SOURCE,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": arguments.reference.rsplit(":", 1)[1],
        "org.opencontainers.image.revision": arguments.revision,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    digest = write_image(arguments.out, arguments.reference, files, labels, arguments.created)
    arguments.out.with_suffix(".spdx.json").write_bytes(sbom)
    print(f"images: {arguments.reference} {digest}, {arguments.out.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
