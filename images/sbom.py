"""What is in the image, as an SPDX 2.3 document: the crates that the programs are made of, and the system's packages."""

import hashlib
import json
import re
from urllib.parse import quote

from oci import ARCHITECTURE, moment, tag


def linked(tree: str) -> set[tuple[str, str]]:
    """Names and versions in what `cargo tree --prefix none --format {p}` printed."""
    lines = (line.split() for line in tree.splitlines() if line.strip())
    return {(name, version.removeprefix("v")) for name, version, *_ in lines}


def crates(metadata: dict, wanted: set[tuple[str, str]]) -> list[dict]:
    """The packages of `cargo metadata` that are wanted. The tree says which are in the programs, the metadata more about each."""
    found = {(package["name"], package["version"]): package for package in metadata["packages"]}
    if unknown := wanted - found.keys():
        raise ValueError(f"cargo metadata does not know {sorted(unknown)}")
    return [found[key] for key in sorted(wanted)]


def document(reference: str, created: int, entries: list[dict]) -> bytes:
    """The document; its name space is made of its content."""
    identity = hashlib.sha256(json.dumps([reference, created, entries], sort_keys=True).encode()).hexdigest()
    image = entry("image", reference.rsplit(":", 1)[0], tag(reference), licence="Apache-2.0") | {"primaryPackagePurpose": "CONTAINER"}
    return json.dumps({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": reference,
        "documentNamespace": f"https://heddle.dev/spdx/{identity}",
        "creationInfo": {"created": moment(created), "creators": ["Tool: heddle-images"]},
        "packages": [image, *entries],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": image["SPDXID"]},
            *({"spdxElementId": image["SPDXID"], "relationshipType": "CONTAINS", "relatedSpdxElement": each["SPDXID"]} for each in entries),
        ],
    }, indent=1, sort_keys=True).encode() + b"\n"


def crate(package: dict) -> dict:
    """An entry for a crate."""
    name, version = package["name"], package["version"]
    # Older manifests write MIT/Apache-2.0 and mean either.
    licence = re.sub(r"\s*/\s*", " OR ", package["license"] or "NOASSERTION")
    if package["source"] is None:
        return entry("crate", name, version, licence=licence)
    return entry("crate", name, version, licence=licence, download=f"https://crates.io/crates/{name}/{version}", purl=f"pkg:cargo/{name}@{quote(version)}")


def system_package(distribution: str, name: str, version: str) -> dict:
    """An entry for a package of the system."""
    return entry("deb", name, version, purl=f"pkg:deb/{distribution}/{quote(name)}@{quote(version, safe=':')}?arch={ARCHITECTURE}")


def standard_library(version: str) -> dict:
    """An entry for Rust's own library, which is in each program."""
    return entry("rust", "rust-std", version, licence="MIT OR Apache-2.0", download="https://www.rust-lang.org")


def entry(kind: str, name: str, version: str, *, licence: str = "NOASSERTION", download: str = "NOASSERTION", purl: str = "") -> dict:
    identifier = re.sub(r"[^A-Za-z0-9.-]", "-", "-".join(dict.fromkeys((kind, name, version))))
    made = {
        "SPDXID": f"SPDXRef-{identifier}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": download,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": licence,
        "copyrightText": "NOASSERTION",
        "filesAnalyzed": False,
    }
    if purl:
        made["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}]
    return made
