"""The suite's program, and the images that its manifests name."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from harness import build, images

from .suites import CACHE, SOURCE, Suite

BUILT = CACHE / "built"


@dataclass(frozen=True)
class TestProgram(build.Module):
    """A folder whose tests become a program."""

    def command(self) -> list[str]:
        return ["go", "test", "-c", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]


def modules(suite: Suite) -> tuple[build.Module, ...]:
    """Suite, simple echo server, and the echo server with a client that the tests of the mesh use."""
    own = {"folder": suite.folder, "cache": BUILT, "toolchain": suite.toolchain}
    return (
        build.Module(f"echo-basic-{suite.version}", **own),
        TestProgram(f"suite-{suite.version}", package=".", **own),
        build.Module("echo-advanced", folder=SOURCE / "go/echo-advanced", cache=BUILT),
    )


@dataclass(frozen=True)
class Programs:
    """Where the built ones are."""

    suite: Path
    echo_basic: Path
    server: Path
    client: Path

    def all(self) -> tuple[Path, ...]:
        return (self.suite, self.echo_basic, self.server, self.client)


def build_all(suite: Suite) -> Programs:
    """Builds what the cache lacks."""
    basic, tests, advanced = (build.build(module, module.compiler()) for module in modules(suite))
    [program] = tests.glob("*.test")
    return Programs(program, basic / "echo-basic", advanced / "server", advanced / "client")


def image_tarballs(suite: Suite, programs: Programs) -> list[Path]:
    """Writes the images under the names that the suite's manifests have."""
    certificate, key = echo_certificate()
    advanced = images.Image(
        suite.echo_advanced,
        programs.server,
        user="1338",
        path="usr/local/bin/server",
        files=(("usr/local/bin/client", programs.client, 0o755), ("cert.crt", certificate, 0o644), ("cert.key", key, 0o644)),
        # The tests run `client` by its name alone.
        environment=("PATH=/usr/local/bin",),
    )
    basic = [images.Image(reference, programs.echo_basic) for reference in suite.echo_basic]
    return [images.write(image) for image in [*basic, advanced]]


def echo_certificate() -> tuple[Path, Path]:
    """Certificate and key of the echo server, made once. No test looks at who has signed it."""
    folder = CACHE / "certificate"
    certificate, key = folder / "cert.crt", folder / "cert.key"
    if not (certificate.exists() and key.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=echo", "-addext", "subjectAltName=DNS:echo"]
        subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def module_folder(suite: Suite, path: str) -> Path:
    """Where Go keeps the content of a module of the suite; fetched if need be."""
    environment = modules(suite)[0].environment()
    subprocess.run(["go", "mod", "download", path], cwd=suite.folder, env=environment, check=True, capture_output=True)
    listed = subprocess.run(["go", "list", "-m", "-f", "{{.Dir}}", path], cwd=suite.folder, env=environment, check=True, capture_output=True, text=True)
    return Path(listed.stdout.strip())


def tests_and_features(suite: Suite) -> dict[str, frozenset[str]]:
    """All tests of the suite, and the features that each needs, as its source says."""
    names: dict[str, str] = {}
    for file in (module_folder(suite, "sigs.k8s.io/gateway-api") / "pkg/features").glob("*.go"):
        names.update(re.findall(r'\b(Support\w+)\s*(?:FeatureName\s*)?=\s*(?:FeatureName\()?"(\w+)"', file.read_text()))
    found = {}
    for file in sorted((module_folder(suite, "sigs.k8s.io/gateway-api/conformance") / "tests").rglob("*.go")):
        for name, listed in re.findall(r'ShortName:\s*"(\w+)",.*?Features:\s*\[\]features\.FeatureName\{(.*?)\}', file.read_text(), re.DOTALL):
            found[name] = frozenset(names[constant] for constant in re.findall(r"features\.(Support\w+)", listed))
    return found
