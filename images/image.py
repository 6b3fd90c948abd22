#!/usr/bin/env python3
"""Writes Heddle's container image as an OCI layout in a tar file, with an SBOM inside and beside it. The same input gives the same bytes.

`scripts/images.sh` builds the programs and calls this.
"""

import argparse
import json
import sys
from pathlib import Path

import sbom
import system
from oci import Entry, Image, moment, tag, write

PROGRAMS = ("heddle", "heddle-cni", "heddle-control-plane", "heddle-node-proxy")
TOOL = "nft"
"""The only program that is not ours."""
DESCRIPTION = "A service mesh for Kubernetes without sidecars"
SBOM_PATH = "usr/share/sbom/heddle.spdx.json"
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "esp": 50, "ah": 51, "ipv6-icmp": 58, "sctp": 132, "udplite": 136}
ETC = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nheddle:x:65532:65532:heddle:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nheddle:x:65532:\n",
    # Both are in the C library itself; nothing is loaded for them.
    "etc/nsswitch.conf": "hosts: files dns\nprotocols: files\n",
    # nft looks up the protocols that its rules name (numbers as IANA has assigned them).
    "etc/protocols": "".join(f"{name} {number} {name.upper()}\n" for name, number in PROTOCOLS.items()),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help="folder with the static programs")
    parser.add_argument("--tree", type=Path, required=True, help="output of `cargo tree` of these")
    parser.add_argument("--metadata", type=Path, required=True, help="output of `cargo metadata`")
    parser.add_argument("--rust", required=True, help="version of the compiler")
    parser.add_argument("--reference", required=True, help="full name and tag")
    parser.add_argument("--source", required=True, help="where the source code is")
    parser.add_argument("--revision", required=True, help="the commit")
    parser.add_argument("--created", type=int, required=True, help="when that was made, in seconds since 1970")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def main() -> int:
    given = arguments()
    tool = system.closure(system.find(TOOL))
    entries = [sbom.crate(package) for package in sbom.crates(json.loads(given.metadata.read_text()), sbom.linked(given.tree.read_text()))]
    entries.append(sbom.standard_library(given.rust))
    taken = system.packages_of([*tool, *system.linked_files()])
    entries += [sbom.system_package(system.distribution(), name, version) for name, version in sorted(taken.items())]
    document = sbom.document(given.reference, given.created, entries)
    image = Image(given.reference, contents(given.programs, tool, document), config(given), given.created)
    digest = write(image, given.out)
    given.out.with_suffix(".spdx.json").write_bytes(document)
    print(f"images: {given.reference} {digest}, {given.out.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
    return 0


def contents(programs: Path, tool: list[Path], document: bytes) -> dict[str, Entry]:
    """Everything in the image."""
    return {
        **{name: Entry((programs / name).read_bytes(), 0o755) for name in PROGRAMS},
        # The loader is a program too.
        **{str(path).lstrip("/"): Entry(path.read_bytes(), 0o755) for path in tool},
        **{path: Entry(text.encode()) for path, text in ETC.items()},
        SBOM_PATH: Entry(document),
    }


def config(given: argparse.Namespace) -> dict:
    """What a container does if its pod does not say. There is no entry point: each pod names its command."""
    return {
        "User": "65532:65532",
        "Cmd": ["/heddle"],
        "Env": ["PATH=/:/usr/sbin:/usr/bin"],
        "Labels": {
            "org.opencontainers.image.title": "heddle",
            "org.opencontainers.image.description": DESCRIPTION,
            "org.opencontainers.image.source": given.source,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.version": tag(given.reference),
            "org.opencontainers.image.revision": given.revision,
            "org.opencontainers.image.created": moment(given.created),
        },
    }


if __name__ == "__main__":
    try:
        sys.exit(main())
    except system.MissingFromSystem as error:
        sys.exit(f"images: {error}")
