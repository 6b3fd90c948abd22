"""Images without a registry: one static binary, and what it needs beside it, in one layer, as an OCI image layout in a tar file.

The same input gives the same bytes.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from . import layout

# Heddle's own image is written by the same code.
sys.path.append(str(layout.SOURCE.parent.parent / "images"))
import oci  # noqa: E402
from oci import Entry  # noqa: E402


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
    environment = {"Env": list(image.environment)} if image.environment else {}
    files = {name: Entry(image.binary.read_bytes(), 0o755), **{path: Entry(source.read_bytes(), mode) for path, source, mode in image.files}}
    config = {"Entrypoint": [f"/{name}", *image.arguments], "User": image.user, **environment}
    # They stay on this machine: compression would only cost time.
    oci.write(oci.Image(image.reference, files, config, compressed=False), image.tarball)
    return image.tarball
