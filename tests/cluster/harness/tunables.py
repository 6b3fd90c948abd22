"""Settings of the machine's kernel that kubelets change: remembered before, and set back after."""

import json
from pathlib import Path

from . import layout

NAMES = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes")


def read() -> dict[str, str]:
    return {name: path(name).read_text() for name in NAMES if path(name).exists()}


def remember() -> None:
    layout.TUNABLES.write_text(json.dumps(read()))


def restore() -> None:
    if not layout.TUNABLES.exists():
        return
    for name, value in json.loads(layout.TUNABLES.read_text()).items():
        if path(name).read_text() != value:
            path(name).write_text(value)


def path(name: str) -> Path:
    return Path("/proc/sys") / name
