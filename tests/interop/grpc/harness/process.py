"""Children that end with us."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

APP = Path(__file__).parent / "app.py"
PROGRAMS = Path(os.environ.get("HEDDLE_PROGRAMS", ""))
# A wait that takes longer has failed; nothing is judged by how long it takes.
PATIENCE = 60.0


def wait_for(what: str, is_so: Callable[[], object], patience: float = PATIENCE) -> object:
    """What `is_so` gives as soon as it is true. Assertions that fail meanwhile are told at the end."""
    end = time.monotonic() + patience
    last: object = None
    while time.monotonic() < end:
        try:
            if found := is_so():
                return found
        except AssertionError as error:
            last = error
        time.sleep(0.1)
    raise AssertionError(f"not within {patience:.0f} s: {what}. {last or ''}")


class Process:
    """A program, with its log in a file."""

    def __init__(self, log: Path, command: list[object], environment: dict[str, str] | None = None, talks: bool = False) -> None:
        self.log = log
        pipe = subprocess.PIPE if talks else None
        with log.open("ab") as errors:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=pipe,
                stdout=pipe or errors,
                stderr=errors,
                text=True,
                env={**os.environ, **(environment or {})},
            )

    def is_running(self) -> bool:
        return self.child.poll() is None

    def terminate(self) -> None:
        self.child.terminate()
        self.ended()

    def kill(self) -> None:
        self.child.kill()
        self.ended()

    def ended(self) -> None:
        try:
            self.child.wait(10)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        for stream in (self.child.stdin, self.child.stdout):
            # What it has not read when it ended is of no account.
            with contextlib.suppress(BrokenPipeError):
                if stream:
                    stream.close()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]


class App(Process):
    """The program of app.py. Says a line of JSON when it is ready."""

    def __init__(self, log: Path, bootstrap: Path | None, *arguments: str) -> None:
        environment = {"GRPC_XDS_BOOTSTRAP": str(bootstrap)} if bootstrap else {}
        if os.environ.get("GRPC_TRACE"):
            environment["GRPC_VERBOSITY"] = "DEBUG"
        super().__init__(log, [sys.executable, APP, *arguments], environment, talks=True)
        try:
            self.ready = self.answer()
        except AssertionError:
            self.kill()
            raise

    def answer(self) -> object:
        line = self.child.stdout.readline()
        if not line:
            raise AssertionError(f"{self.log.name} ended: {self.tail()}")
        return json.loads(line)

    def order(self, **order: object) -> object:
        self.child.stdin.write(json.dumps(order) + "\n")
        self.child.stdin.flush()
        return self.answer()
