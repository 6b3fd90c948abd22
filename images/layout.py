"""An OCI image layout in a tar file, from files alone: no registry and no container engine."""

import gzip
import hashlib
import io
import json
import platform
import re
import subprocess
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
USER = "65532:65532"


@dataclass(frozen=True)
class Entry:
    """A file of the image."""

    content: bytes
    mode: int


def write_image(out: Path, reference: str, files: dict[str, Entry], labels: dict[str, str], created: int) -> str:
    """Writes the tar file and returns the manifest's digest. `files` are by path without the leading slash."""
    layer = tar(files, created)
    # The level decides the bytes, and no time stands in the head.
    packed = gzip.compress(layer, compresslevel=6, mtime=0)
    moment = datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    config = canonical({
        "architecture": ARCHITECTURE,
        "os": "linux",
        "created": moment,
        "config": {"User": USER, "WorkingDir": "/", "Env": ["PATH=/:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["/heddle"], "Labels": {**labels, "org.opencontainers.image.created": moment}},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
        "history": [{"created": moment, "created_by": "heddle scripts/images.sh"}],
    })
    manifest = canonical({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
    })
    entry = descriptor("application/vnd.oci.image.manifest.v1+json", manifest)
    entry["annotations"] = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference.rsplit(":", 1)[1]}
    blobs = {f"blobs/sha256/{digest(blob)[7:]}": Entry(blob, 0o644) for blob in (packed, config, manifest)}
    out.write_bytes(tar({
        "oci-layout": Entry(canonical({"imageLayoutVersion": "1.0.0"}), 0o644),
        "index.json": Entry(canonical({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}), 0o644),
        **blobs,
    }, created))
    return digest(manifest)


def tar(files: dict[str, Entry], modified: int) -> bytes:
    """A tar file with its folders, in the order of the names, owned by root."""
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


def closure(program: Path) -> list[Path]:
    """A program of this system and the libraries that it is linked with, at the paths at which the loader looks for them."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = re.findall(r"(?:=> |^\s*)(/\S+) \(0x", said, flags=re.MULTILINE)
    return [program, *sorted({Path(library) for library in libraries})]


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(media_type: str, content: bytes) -> dict:
    return {"mediaType": media_type, "digest": digest(content), "size": len(content)}
