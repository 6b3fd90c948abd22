"""The image is what it says, and the same from the same input. `scripts/images.sh --test` runs this; nothing of Heddle is built."""

import hashlib
import io
import json
import shutil
import socket
import struct
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

import check
import oci
import sbom
import system
from oci import Entry, Image

FILES = {"b": Entry(b"two", 0o755), "etc/a": Entry(b"one")}


class Temporary(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Layout(Temporary):
    def write(self, name: str = "1.tar", *, files: dict[str, Entry] = FILES, compressed: bool = True) -> Path:
        out = self.folder / name
        oci.write(Image("example.org/heddle:1", files, {"User": "65532:65532"}, 1_700_000_000, compressed), out)
        return out

    def test_the_same_files_give_the_same_bytes_in_any_order(self) -> None:
        self.assertEqual(self.write().read_bytes(), self.write("2.tar", files=dict(reversed(FILES.items()))).read_bytes())

    def test_who_reads_an_image_while_it_is_written_anew_reads_the_old_one_to_its_end(self) -> None:
        out = self.write(files={"a": Entry(b"old")})
        old = out.read_bytes()
        with out.open("rb") as reader:
            self.write(files={"a": Entry(b"new" * 100_000)})
            self.assertEqual(reader.read(), old)
        self.assertEqual(list(self.folder.iterdir()), [out])

    def test_every_blob_is_named_by_its_digest_and_described_by_its_size(self) -> None:
        with tarfile.open(self.write()) as archive:
            blobs = {member.name: archive.extractfile(member).read() for member in archive if member.name.startswith("blobs/sha256/")}
            index = json.loads(archive.extractfile("index.json").read())
        self.assertEqual(len(blobs), 3)
        for path, content in blobs.items():
            self.assertEqual(path, f"blobs/sha256/{hashlib.sha256(content).hexdigest()}")
        [entry] = index["manifests"]
        manifest = json.loads(blobs[oci.blob_path(entry["digest"])])
        for described in (entry, manifest["config"], *manifest["layers"]):
            self.assertEqual(len(blobs[oci.blob_path(described["digest"])]), described["size"])

    def test_the_layer_has_the_files_with_their_modes_and_no_owner(self) -> None:
        for compressed in (True, False):
            config, layer = oci.read(self.write(compressed=compressed))
            self.assertEqual(config["rootfs"]["diff_ids"], [oci.digest(layer)])
            self.assertEqual((config["config"]["User"], config["created"]), ("65532:65532", "2023-11-14T22:13:20Z"))
            with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
                entries = [(each.name, each.mode, each.uid, each.mtime) for each in archive]
                self.assertEqual(archive.extractfile("b").read(), b"two")
            self.assertEqual(entries, [(name, mode, 0, 1_700_000_000) for name, mode in (("b", 0o755), ("etc", 0o755), ("etc/a", 0o644))])

    def test_the_image_has_the_name_that_pods_give_it(self) -> None:
        with tarfile.open(self.write()) as archive:
            [entry] = json.loads(archive.extractfile("index.json").read())["manifests"]
        self.assertEqual(entry["annotations"]["io.containerd.image.name"], "example.org/heddle:1")
        self.assertEqual(entry["annotations"]["org.opencontainers.image.ref.name"], "1")


class System(Temporary):
    def test_a_program_comes_with_its_loader_and_libraries(self) -> None:
        found = system.closure(Path(shutil.which("ls") or "/bin/ls"))
        self.assertTrue(any("/ld-linux" in str(path) for path in found))
        self.assertTrue(any("libc.so" in path.name for path in found))
        self.assertTrue(all(path.exists() for path in found))

    @unittest.skipIf(shutil.which("cc") is None, "needs a C compiler")
    def test_a_static_program_comes_alone(self) -> None:
        program = self.folder / "program"
        subprocess.run(["cc", "-static", "-x", "c", "-", "-o", program], input=b"int main(void) { return 0; }", check=True)
        self.assertEqual(system.closure(program), [program])

    def test_a_program_that_is_not_installed_is_named(self) -> None:
        with self.assertRaisesRegex(system.MissingFromSystem, "no-such-program"):
            system.find("no-such-program")

    @unittest.skipIf(shutil.which("dpkg-query") is None, "needs a Debian")
    def test_files_are_traced_to_their_packages_wherever_links_lead(self) -> None:
        libc = next(path for path in system.closure(Path(shutil.which("ls") or "/bin/ls")) if "libc.so" in path.name)
        for path in (libc, libc.resolve()):
            self.assertIn("libc6", system.packages_of([path]))
        with self.assertRaisesRegex(system.MissingFromSystem, "of-nobody"):
            system.packages_of([self.folder / "of-nobody"])


class Sbom(unittest.TestCase):
    tree = "heddle v1.0.0 (/somewhere)\nused v2.0.0+c\n\nused v2.0.0+c (*)\n"
    metadata = {"packages": [
        {"name": "heddle", "version": "1.0.0", "source": None, "license": "Apache-2.0"},
        {"name": "used", "version": "2.0.0+c", "source": "registry", "license": "MIT/Apache-2.0"},
        {"name": "used", "version": "1.0.0", "source": "registry", "license": "MIT"},
        {"name": "for-tests", "version": "1.0.0", "source": "registry", "license": None},
    ]}

    def entries(self) -> list[dict]:
        crates = sbom.crates(self.metadata, sbom.linked(self.tree))
        return [*map(sbom.crate, crates), sbom.standard_library("1.95.0"), sbom.system_package("debian", "libstdc++6", "1:2.0+deb~1")]

    def test_only_what_the_tree_has_is_named_in_its_version(self) -> None:
        named = [(each["name"], each["versionInfo"]) for each in self.entries()]
        self.assertEqual(named, [("heddle", "1.0.0"), ("used", "2.0.0+c"), ("rust-std", "1.95.0"), ("libstdc++6", "1:2.0+deb~1")])

    def test_a_crate_that_the_metadata_lack_is_an_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "strange"):
            sbom.crates(self.metadata, sbom.linked("strange v1.0.0"))

    def test_packages_have_urls_and_licences_as_the_standards_write_them(self) -> None:
        own, used, _, system_package = self.entries()
        self.assertNotIn("externalRefs", own)
        self.assertEqual(used["licenseDeclared"], "MIT OR Apache-2.0")
        self.assertEqual(used["externalRefs"][0]["referenceLocator"], "pkg:cargo/used@2.0.0%2Bc")
        self.assertEqual(system_package["externalRefs"][0]["referenceLocator"], f"pkg:deb/debian/libstdc%2B%2B6@1:2.0%2Bdeb~1?arch={oci.ARCHITECTURE}")

    def test_the_document_describes_the_image_and_names_everything_once(self) -> None:
        made = sbom.document("example.org/heddle:1", 0, self.entries())
        self.assertEqual(made, sbom.document("example.org/heddle:1", 0, self.entries()))
        document = json.loads(made)
        ids = [each["SPDXID"] for each in document["packages"]]
        self.assertEqual((len(ids), len(set(ids))), (5, 5))
        for each in ids:
            self.assertRegex(each, r"^SPDXRef-[A-Za-z0-9.-]+$")
        related = {each["relatedSpdxElement"] for each in document["relationships"]}
        self.assertEqual(related, set(ids))


class Names(unittest.TestCase):
    def ask(self, name: str, kind: int) -> bytes:
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        return check.answer(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\0" + struct.pack("!HH", kind, 1))

    def test_the_name_server_of_the_check_knows_one_address_of_one_name(self) -> None:
        found = self.ask(check.NAME, 1)
        self.assertEqual((found[:2], found[3] & 15, found[7]), (b"\x12\x34", 0, 1))
        self.assertTrue(found.endswith(socket.inet_aton(check.ADDRESS)))
        no_v6, unknown = self.ask(check.NAME, 28), self.ask("example.org", 1)
        self.assertEqual((no_v6[3] & 15, no_v6[7]), (0, 0))
        self.assertEqual((unknown[3] & 15, unknown[7]), (3, 0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
