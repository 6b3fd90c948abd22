"""Helm, and what it renders."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

HELM_FOLDER = Path(__file__).resolve().parent.parent
CHART = HELM_FOLDER / "heddle"
CRDS = HELM_FOLDER / "heddle-crds"
BIN = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "heddle/cluster/bin"
"""What `scripts/cluster.sh build` has built."""
HELM = os.environ.get("HELM") or (str(BIN / "helm") if (BIN / "helm").exists() else shutil.which("helm") or "helm")
NAMESPACE = "heddle-system"


class Failed(Exception):
    """A command that ended badly, with what it said."""


def run(*command: object, stdin: str | None = None) -> str:
    done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: {(done.stderr + done.stdout).strip()}")
    return done.stdout


def template(chart: Path, *options: object, release: str = "heddle") -> str:
    return run(HELM, "template", release, chart, f"--namespace={NAMESPACE}", *options)


def objects(text: str) -> list[dict]:
    """The YAML documents of a rendered chart. Helm itself reads them, by a chart that turns YAML into lines of JSON: Python has no YAML of its own."""
    with tempfile.TemporaryDirectory() as folder:
        chart = Path(folder)
        (chart / "templates").mkdir()
        (chart / "Chart.yaml").write_text("{apiVersion: v2, name: json, version: 0.0.0}")
        (chart / "rendered.yaml").write_text(text)
        (chart / "templates/all.yaml").write_text(
            '{{ range regexSplit "(?m)^---$" (.Files.Get "rendered.yaml") -1 }}{{ with fromYaml . }}\n---\n{{ toJson . }}\n{{ end }}{{ end }}')
        lines = run(HELM, "template", chart).splitlines()
    found = [json.loads(line) for line in lines if line.startswith("{")]
    broken = [entry["Error"] for entry in found if set(entry) == {"Error"}]
    assert not broken, broken
    return found


def render(*options: object, release: str = "heddle") -> list[dict]:
    """The chart's objects without the definitions, which are large."""
    return objects(template(CHART, "--set", "crds.install=false", *options, release=release))


def find(rendered: list[dict], kind: str, name: str | None = None) -> dict:
    """The one object of a kind, or of a kind and name."""
    found = [entry for entry in rendered if entry["kind"] == kind and name in (None, entry["metadata"]["name"])]
    assert len(found) == 1, f"{len(found)} of {kind} {name or ''}"
    return found[0]
