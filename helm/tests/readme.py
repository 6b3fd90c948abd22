"""The tables of values in helm/README.md, made of values.yaml: each comment belongs to the key below it."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charts import CHART, CRDS, HELM, HELM_FOLDER, objects, run

PATH = HELM_FOLDER / "README.md"
BEGIN, END = "<!-- values of {}: made by scripts/charts.sh readme -->", "<!-- end -->"
PLAIN = {
    *(f"{component}.{key}" for component in ("controlPlane", "nodeProxy") for key in (
        "resources", "podLabels", "podAnnotations", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints", "priorityClassName",
        "podSecurityContext", "securityContext", "extraArgs", "extraEnv", "extraVolumes", "extraVolumeMounts", "terminationGracePeriodSeconds")),
    "image.registry", "image.repository", "gatewayClass.name", "nodeProxy.cni.binDir", "nodeProxy.cni.confDir", "criticalPodsQuota.enabled",
    *(f"monitoring.{monitor}.{key}" for monitor in ("serviceMonitor", "podMonitor") for key in ("enabled", "labels", "interval")),
}
"""Values whose names say it: Kubernetes' own words, or those of the key above."""


@dataclass(frozen=True)
class Row:
    """One value."""

    name: str
    default: str
    meaning: str


def defaults(chart: Path) -> dict:
    """The values as Helm reads them."""
    return objects(run(HELM, "show", "values", chart))[0]


def comments(chart: Path) -> dict[str, str]:
    """The comment above each key, by the key's whole name."""
    found, path, comment = {}, [], []
    for line in (chart / "values.yaml").read_text().splitlines():
        if said := re.match(r"\s*# ?(.*)", line):
            comment.append(said[1].strip())
        elif key := re.match(r"( *)([\w-]+):", line):
            path = [*path[:len(key[1]) // 2], key[2]]
            found[".".join(path)] = " ".join(comment)
            comment = []
        else:
            comment = []
    return found


def rows(chart: Path) -> Iterator[Row]:
    """All values that have no values below them that are explained."""
    said = comments(chart)

    def below(path: str, value: object) -> Iterator[Row]:
        inner = isinstance(value, dict) and any(name.startswith(f"{path}.") for name in said)
        if inner:
            if said.get(path):
                yield Row(path, "", said[path])
            for key, child in value.items():
                yield from below(f"{path}.{key}", child)
        else:
            yield Row(path, json.dumps(value), said.get(path, ""))
    order = list(said)
    values = defaults(chart)
    for key in sorted(values, key=order.index):
        found = list(below(key, values[key]))
        yield from sorted(found, key=lambda row: order.index(row.name))


def table(chart: Path) -> str:
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for row in rows(chart):
        default = f"`{row.default}`" if row.default else ""
        lines.append(f"| `{row.name}` | {default} | {row.meaning.replace('|', '&#124;')} |")
    return "\n".join(lines)


def written() -> str:
    """README.md with its tables made anew."""
    text = PATH.read_text()
    for chart in (CHART, CRDS):
        begin = BEGIN.format(chart.name)
        head, rest = text.split(begin, 1)
        text = f"{head}{begin}\n{table(chart)}\n{END}{rest.split(END, 1)[1]}"
    return text


if __name__ == "__main__":
    PATH.write_text(written())
    sys.exit()
