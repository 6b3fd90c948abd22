"""Images without a registry: one static binary, and what it needs beside it, in one layer, as an OCI image layout in a tar file.

The same input gives the same bytes.
"""

import hashlib
import io
import json
import platform
import tarfile
from dataclasses import dataclass
from pathlib import Path

from . import layout

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@dataclass(frozen=True)
class Image:
    """What an image is made of; `reference` is a full name, as pods write it."""

    reference: str
    binary: Path
    arguments: tuple[str, ...] = ()
    user: str = "65532:65532"
    path: str = ""
    """Where the binary is in the image, without the leading slash; its own name at the root otherwise."""
    files: tuple[tuple[str, Path, int], ...] = ()
    """What else is in the image: path without the leading slash, content, mode."""
    environment: tuple[str, ...] = ()
    """`NAME=value` each."""

    @property
    def tarball(self) -> Path:
        return layout.CACHE / "images" / f"{self.reference.replace('/', '_').replace(':', '_')}.tar"


def cluster_images(programs: Path) -> tuple[Image, ...]:
    """The images that the cluster itself needs, from the folder with the built programs."""
    probe = programs / "probe"
    return (
        Image(layout.PAUSE_IMAGE, probe, ("pause",), user="65535:65535"),
        Image(layout.PROBE_IMAGE, probe, ("serve", ":8080")),
        Image(layout.COREDNS_IMAGE, programs / "coredns"),
    )


def write(image: Image) -> Path:
    """Writes the image's tarball and returns its path."""
    name = image.path or image.binary.name
    layer = tar({name: (image.binary.read_bytes(), 0o755), **{path: (source.read_bytes(), mode) for path, source, mode in image.files}})
    environment = {"Env": list(image.environment)} if image.environment else {}
    config = canonical({
        "architecture": ARCHITECTURE,
        "os": "linux",
        "config": {"Entrypoint": [f"/{name}", *image.arguments], "User": image.user, "WorkingDir": "/", **environment},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    })
    manifest = canonical({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    })
    entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": image.reference, "org.opencontainers.image.ref.name": image.reference.rsplit(":", 1)[1]}
    files = {
        "oci-layout": canonical({"imageLayoutVersion": "1.0.0"}),
        "index.json": canonical({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}),
        **{f"blobs/sha256/{digest(blob)[7:]}": blob for blob in (layer, config, manifest)},
    }
    image.tarball.parent.mkdir(parents=True, exist_ok=True)
    image.tarball.write_bytes(tar({path: (content, 0o644) for path, content in files.items()}))
    return image.tarball


def tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    """A tar file of contents and modes, without times and owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, (content, mode) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(media_type: str, content: bytes) -> dict:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}
