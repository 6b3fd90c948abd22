"""Builds the cluster's programs from Go modules, each at the exact version of its `go/<name>/go.mod`.

The programs of a module are those of its `tool` lines. A result is kept in the cache under a hash of everything that decides its
bytes, so that a second call does nothing. Links in `bin/` point at what was built last.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import layout

BIN = layout.CACHE / "bin"


@dataclass(frozen=True)
class Module:
    """One folder below `go/`, and how it is built."""

    name: str
    ldflags: str = ""
    tags: str = ""
    cgo: bool = False
    package: str = "tool"
    """What is built: all `tool` lines, or the folder's own program."""
    rename: tuple[str, str] | None = None
    """From Go's name for a program to the usual one."""
    folder: Path | None = field(default=None, repr=False)
    """Where the go.mod is, if not in `go/<name>`. This field and those below are no part of the key by themselves."""
    cache: Path = field(default=layout.CACHE / "built", repr=False)
    """Where results are kept."""
    toolchain: str = field(default="", repr=False)
    """Go's own `GOTOOLCHAIN`, for a module that needs a newer Go than the one installed. The key has the compiler's version."""

    @property
    def source(self) -> Path:
        return self.folder or layout.SOURCE / "go" / self.name

    def command(self) -> list[str]:
        """The build without its destination."""
        tags = [f"-tags={self.tags}"] if self.tags else []
        return ["go", "build", "-mod=readonly", "-trimpath", "-buildvcs=false", *tags, f"-ldflags=-s -w {self.ldflags}".rstrip()]

    def environment(self) -> dict[str, str]:
        toolchain = {"GOTOOLCHAIN": self.toolchain} if self.toolchain else {}
        return {**os.environ, "CGO_ENABLED": str(int(self.cgo)), "GOFLAGS": "", "GOWORK": "off", **toolchain}

    def compiler(self) -> str:
        """Version and target of the Go that builds the module."""
        return subprocess.run(
            ["go", "env", "GOVERSION", "GOARCH"], cwd=self.source, env=self.environment(), check=True, capture_output=True, text=True
        ).stdout

    def key(self, compiler: str) -> str:
        """Changes whenever the built bytes may."""
        digest = hashlib.sha256(f"{compiler} {self}".encode())
        for file in sorted(self.source.iterdir()):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()[:16]


def kubernetes_ldflags() -> str:
    """Without these the API server calls itself v0.0.0."""
    text = (layout.SOURCE / "go/kubernetes/go.mod").read_text()
    version = re.search(r"k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)", text)
    if version is None:
        raise SystemExit("cluster: go/kubernetes/go.mod names no version of k8s.io/kubernetes")
    values = {"gitVersion": version[1], "gitMajor": version[2], "gitMinor": version[3]}
    return " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in values.items())


MODULES = (
    Module("probe", package="."),
    Module("etcd", rename=("server", "etcd")),
    Module("cni"),
    Module("runc", tags="seccomp", cgo=True),
    Module("containerd", tags="no_btrfs,no_zfs,no_devmapper"),
    Module("coredns"),
    Module("kubernetes", ldflags=kubernetes_ldflags()),
    Module("helm"),
)
"""Small ones first, so that a broken environment shows early."""


def build(module: Module, compiler: str) -> Path:
    """The folder with the module's programs, built if the cache has none."""
    folder = module.cache / f"{module.name}-{module.key(compiler)}"
    if folder.is_dir():
        return folder
    started = time.monotonic()
    print(f"cluster: building {module.name}", file=sys.stderr)
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
    unfinished.mkdir(parents=True)
    try:
        command = ["nice", *module.command(), f"-o={unfinished}/", module.package]
        subprocess.run(command, cwd=module.source, env=module.environment(), check=True, stdout=sys.stderr)
        if module.rename:
            (unfinished / module.rename[0]).rename(unfinished / module.rename[1])
        for older in folder.parent.glob(f"{module.name}-*"):
            if older != unfinished:
                shutil.rmtree(older)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    print(f"cluster: built {module.name} in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return folder


def build_all() -> Path:
    """Builds what the cache lacks; returns the folder with a link to every program."""
    compiler = subprocess.run(["go", "env", "GOVERSION", "GOARCH"], cwd=layout.SOURCE / "go/probe", check=True, capture_output=True, text=True).stdout
    BIN.mkdir(parents=True, exist_ok=True)
    for module in MODULES:
        for program in sorted(build(module, compiler).iterdir()):
            link = BIN / program.name
            target = os.path.relpath(program, BIN)
            if not link.is_symlink() or os.readlink(link) != target:
                link.unlink(missing_ok=True)
                link.symlink_to(target)
    return BIN
