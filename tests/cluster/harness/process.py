"""Commands, and long-running processes by id: each has a log and a record on disk, so that another call of the driver can end it."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from . import layout


class ClusterError(Exception):
    """A sentence for the user: what did not work, and where to look."""


children: dict[int, subprocess.Popen] = {}
"""The recorded processes that this driver started itself and has to collect when they end."""


def run(*command: object, input: str | None = None) -> str:
    """Runs a short command; returns its output, or raises with its error output."""
    done = subprocess.run([str(part) for part in command], input=input, capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(map(str, command))}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def wait_for(what: str, seconds: float, ready: Callable[[], object], log: Path | None = None):
    """Asks again until `ready` returns something true, and returns that; after `seconds` raises, with the end of `log`."""
    deadline = time.monotonic() + seconds
    while not (result := ready()):
        if time.monotonic() > deadline:
            tail = "".join(log.read_text(errors="replace").splitlines(keepends=True)[-15:]) if log and log.exists() else ""
            raise ClusterError(f"{what}: not within {seconds:.0f} s" + (f"; the end of {log}:\n{tail}" if log else ""))
        time.sleep(0.1)
    return result


def log_path(name: str) -> Path:
    return layout.LOGS / f"{name}.log"


def start(name: str, *command: object) -> int:
    """Starts a process that outlives the driver, and records it; returns its id."""
    layout.LOGS.mkdir(parents=True, exist_ok=True)
    layout.PROCESSES.mkdir(parents=True, exist_ok=True)
    with log_path(name).open("ab") as log:
        child = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    children[child.pid] = child
    record(name, child.pid)
    return child.pid


def record(name: str, pid: int) -> None:
    """Remembers a process. The file appears whole: other threads read it."""
    unfinished = layout.PROCESSES / f"{name}.new"
    unfinished.write_text(json.dumps({"pid": pid, "started": started(pid)}))
    unfinished.rename(layout.PROCESSES / f"{name}.json")


def started(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; with the id this is unique. None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def recorded() -> dict[str, int]:
    """The recorded processes that still run: name to id."""
    alive = {}
    for file in sorted(layout.PROCESSES.glob("*.json")):
        entry = json.loads(file.read_text())
        if entry["started"] is not None and started(entry["pid"]) == entry["started"]:
            alive[file.stem] = entry["pid"]
    return alive


def stop(names: list[str]) -> None:
    """Ends recorded processes, at once and without asking: their state is thrown away, and an API server that is asked holds its port for a minute."""
    alive = {name: pid for name, pid in recorded().items() if name in names}
    for pid in alive.values():
        os.kill(pid, signal.SIGKILL)
    for name, pid in alive.items():
        if child := children.pop(pid, None):
            child.wait()
        wait_for(f"the end of {name} ({pid})", 20, lambda: name not in recorded())
    for name in names:
        (layout.PROCESSES / f"{name}.json").unlink(missing_ok=True)
