"""What is in the image, as an SPDX 2.3 document: the crates that the programs are made of, and the system's packages."""

import hashlib
import json
from datetime import UTC, datetime


def packages(metadata: dict, programs: set[str]) -> list[dict]:
    """The packages that the programs need to run, from the output of `cargo metadata`: neither for tests nor for building alone."""
    by_id = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    roots = [package["id"] for package in metadata["packages"] if any("bin" in target["kind"] and target["name"] in programs for target in package["targets"])]
    found, open_ids = set(), roots
    while open_ids:
        current = open_ids.pop()
        if current in found:
            continue
        found.add(current)
        for dependency in nodes[current]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                open_ids.append(dependency["pkg"])
    return sorted((by_id[each] for each in found), key=lambda package: (package["name"], package["version"]))


def document(reference: str, created: int, crates: list[dict], system: dict[str, str]) -> bytes:
    """The document; its name space is made of its content."""
    entries = [crate(package) for package in crates] + [debian(name, version) for name, version in sorted(system.items())]
    identity = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    name, version = reference.rsplit(":", 1)
    image = {
        "SPDXID": "SPDXRef-image",
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "licenseDeclared": "Apache-2.0",
        "filesAnalyzed": False,
    }
    return json.dumps({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": reference,
        "documentNamespace": f"https://heddle.dev/spdx/{identity}",
        "creationInfo": {"created": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: heddle-images"]},
        "packages": [image, *entries],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-image"},
            *({"spdxElementId": "SPDXRef-image", "relationshipType": "CONTAINS", "relatedSpdxElement": entry["SPDXID"]} for entry in entries),
        ],
    }, indent=1, sort_keys=True).encode()


def crate(package: dict) -> dict:
    own = package["source"] is None
    name, version = package["name"], package["version"]
    return {
        "SPDXID": f"SPDXRef-crate-{name.replace('_', '-')}-{version.replace('+', '-')}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION" if own else f"https://crates.io/crates/{name}/{version}",
        "licenseDeclared": (package["license"] or "NOASSERTION").replace("/", " OR "),
        "filesAnalyzed": False,
        "externalRefs": [] if own else [reference("cargo", name, version)],
    }


def debian(name: str, version: str) -> dict:
    return {
        "SPDXID": f"SPDXRef-deb-{name.replace('_', '-').replace('+', '-')}",
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "filesAnalyzed": False,
        "externalRefs": [reference("deb/debian", name, version)],
    }


def reference(kind: str, name: str, version: str) -> dict:
    return {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": f"pkg:{kind}/{name}@{version}"}
