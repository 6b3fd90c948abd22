"""OCI image layouts in tar files, from files alone: no registry, no container engine. The same input gives the same bytes."""

import gzip
import hashlib
import io
import json
import os
import platform
import tarfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


@dataclass(frozen=True)
class Entry:
    """A file of the image."""

    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Image:
    """One image of one layer."""

    reference: str
    """Full name and tag, as pods write it."""
    files: dict[str, Entry]
    """By path without the leading slash. All belong to root."""
    config: dict = field(default_factory=dict)
    """`User`, `Env`, `Entrypoint`, `Labels`, ... of the OCI image configuration."""
    created: int = 0
    """Seconds since 1970."""
    compressed: bool = True


def write(image: Image, out: Path) -> str:
    """Writes the image as a tar file, and returns the digest of its manifest."""
    layer = tar(image.files, image.created)
    # The level decides the bytes, and no time stands in the head.
    blob = gzip.compress(layer, compresslevel=6, mtime=0) if image.compressed else layer
    suffix = "+gzip" if image.compressed else ""
    config = canonical({
        "architecture": ARCHITECTURE,
        "os": "linux",
        "created": moment(image.created),
        "config": {"WorkingDir": "/", **image.config},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created": moment(image.created), "created_by": "heddle images/oci.py"}],
    })
    manifest = canonical({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor(f"application/vnd.oci.image.layer.v1.tar{suffix}", blob)],
    })
    entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": image.reference, "org.opencontainers.image.ref.name": tag(image.reference)}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
    replace(out, tar({
        "oci-layout": Entry(canonical({"imageLayoutVersion": "1.0.0"})),
        "index.json": Entry(canonical(index)),
        **{blob_path(digest(each)): Entry(each) for each in (blob, config, manifest)},
    }, image.created))
    return digest(manifest)


def replace(out: Path, content: bytes) -> None:
    """Who reads the file meanwhile reads the old one to its end."""
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_name(f"{out.name}.{os.getpid()}.new")
    new.write_bytes(content)
    new.rename(out)


def read(archive: Path) -> tuple[dict, bytes]:
    """Configuration and layer (a tar file) of an image that `write` wrote."""
    with tarfile.open(archive) as files:
        def content(path: str) -> bytes:
            member = files.extractfile(path)
            if member is None:
                raise ValueError(f"{archive}: {path} is no file")
            return member.read()

        manifest = json.loads(content(blob_path(json.loads(content("index.json"))["manifests"][0]["digest"])))
        [layer] = manifest["layers"]
        blob = content(blob_path(layer["digest"]))
        return json.loads(content(blob_path(manifest["config"]["digest"]))), gzip.decompress(blob) if layer["mediaType"].endswith("+gzip") else blob


def tar(files: dict[str, Entry], modified: int = 0) -> bytes:
    """A tar file with the folders that the paths name, in the order of the names, owned by root."""
    folders = {str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folders | files.keys()):
            header = tarfile.TarInfo(path)
            header.mtime = modified
            if path in folders:
                header.type, header.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(header)
            else:
                header.size, header.mode = len(files[path].content), files[path].mode
                archive.addfile(header, io.BytesIO(files[path].content))
    return buffer.getvalue()


def tag(reference: str) -> str:
    return reference.rsplit(":", 1)[1]


def moment(seconds: int) -> str:
    """As RFC 3339 writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def blob_path(name: str) -> str:
    return f"blobs/{name.replace(':', '/')}"


def descriptor(media_type: str, content: bytes) -> dict:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}
