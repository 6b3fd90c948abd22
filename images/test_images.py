"""The image is what it says, and the same from the same input. `scripts/images.sh --test` runs this; nothing is built."""

import gzip
import io
import json
import shutil
import tarfile
import tempfile
import unittest
from pathlib import Path

from layout import Entry, closure, write_image
from sbom import document, packages

FILES = {"b": Entry(b"two", 0o755), "etc/a": Entry(b"one", 0o644)}


def write(folder: Path, name: str, files: dict[str, Entry]) -> bytes:
    out = folder / name
    write_image(out, "example.org/heddle:1", files, {"label": "yes"}, 1_700_000_000)
    return out.read_bytes()


def package(name: str, *, source: str | None = "registry", binary: bool = False) -> dict:
    kinds = [{"kind": ["bin"], "name": name}] if binary else [{"kind": ["lib"], "name": name}]
    return {"id": name, "name": name, "version": "1.0.0", "source": source, "license": "MIT/Apache-2.0", "targets": kinds}


def node(name: str, *needed: tuple[str, str | None]) -> dict:
    return {"id": name, "deps": [{"pkg": pkg, "dep_kinds": [{"kind": kind}]} for pkg, kind in needed]}


class Image(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def test_the_same_files_give_the_same_bytes_in_any_order(self) -> None:
        self.assertEqual(write(self.folder, "1.tar", FILES), write(self.folder, "2.tar", dict(reversed(FILES.items()))))

    def test_every_blob_is_named_by_its_digest_and_the_layer_has_the_files(self) -> None:
        archive = tarfile.open(fileobj=io.BytesIO(write(self.folder, "1.tar", FILES)))
        read = lambda path: archive.extractfile(path).read()  # noqa: E731
        manifest = json.loads(read("blobs/sha256/" + json.loads(read("index.json"))["manifests"][0]["digest"][7:]))
        layer = gzip.decompress(read("blobs/sha256/" + manifest["layers"][0]["digest"][7:]))
        entries = {entry.name: entry for entry in tarfile.open(fileobj=io.BytesIO(layer))}
        self.assertEqual({name: entry.mode for name, entry in entries.items()}, {"b": 0o755, "etc": 0o755, "etc/a": 0o644})
        config = json.loads(read("blobs/sha256/" + manifest["config"]["digest"][7:]))
        self.assertEqual(config["config"]["User"], "65532:65532")
        self.assertEqual(config["config"]["Labels"]["org.opencontainers.image.created"], "2023-11-14T22:13:20Z")

    def test_a_program_comes_with_its_loader_and_libraries(self) -> None:
        found = closure(Path(shutil.which("ls") or "/bin/ls"))
        self.assertTrue(any("ld-linux" in path.name for path in found))
        self.assertTrue(all(path.exists() for path in found))


class Sbom(unittest.TestCase):
    metadata = {
        "packages": [package("heddle", source=None, binary=True), package("used"), package("deep"), package("test-only"), package("build-only"), package("other", binary=True)],
        "resolve": {"nodes": [
            node("heddle", ("used", None), ("test-only", "dev"), ("build-only", "build")),
            node("used", ("deep", None)), node("deep"), node("test-only"), node("build-only"), node("other"),
        ]},
    }

    def test_only_what_the_programs_run_with_is_named(self) -> None:
        self.assertEqual([each["name"] for each in packages(self.metadata, {"heddle"})], ["deep", "heddle", "used"])

    def test_the_document_names_every_package_once_and_is_the_same_each_time(self) -> None:
        crates = packages(self.metadata, {"heddle"})
        made = document("example.org/heddle:1", 0, crates, {"nftables": "1.0.6"})
        self.assertEqual(made, document("example.org/heddle:1", 0, crates, {"nftables": "1.0.6"}))
        ids = [each["SPDXID"] for each in json.loads(made)["packages"]]
        self.assertEqual((len(ids), len(set(ids))), (5, 5))


if __name__ == "__main__":
    unittest.main(verbosity=2)
