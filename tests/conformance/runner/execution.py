"""Runs the suite's program."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from .results import ROOT, SETUP, Run, parse_event
from .suites import GATEWAY_CLASS, NAMESPACE_LABELS, Profile

IMPLEMENTATION = {
    "organization": "heddle-mesh",
    "project": "heddle",
    "url": "https://github.com/heddle-mesh/heddle",
    "contact": "https://github.com/heddle-mesh/heddle/issues",
}


def flags(profile: Profile, version: str, report: Path | None, only: list[str]) -> list[str]:
    """The suite's command line. A chosen test is chosen by Go's own means, which take several."""
    pattern = f"^{ROOT}$" + (f"/^({'|'.join([*only, SETUP])})$" if only else "")
    values = {
        "test.run": pattern,
        "test.timeout": profile.time_limit,
        "test.v": "test2json",
        "conformance-profiles": ",".join(profile.reported),
        "supported-features": ",".join(sorted({*profile.core, *profile.claimed})),
        "namespace-labels": ",".join(f"{name}={value}" for name, value in NAMESPACE_LABELS.items()),
        "gateway-class": GATEWAY_CLASS,
        "version": version,
        **IMPLEMENTATION,
    }
    if profile.timeouts:
        values["timeout-config-overrides"] = ";".join(f"{name}:{seconds}" for name, seconds in profile.timeouts)
    if profile.may_fail:
        values["go-on-without-setup"] = "true"
    elif report:
        values["report-output"] = str(report)
    return [f"-{name}={value}" for name, value in values.items()]


def execute(program: Path, arguments: list[str], kubeconfig: Path, folder: Path) -> Run:
    """Runs the suite to its end, and says how each test ended as soon as it has. All that was written is kept in `folder`."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    command = ["go", "tool", "test2json", "-t", str(program), *arguments]
    run = Run()
    with (folder / "events.json").open("w") as events, (folder / "suite.log").open("w") as log:
        # A session of its own, so that the suite and its translator can be ended together.
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        ) as suite:
            try:
                for line in suite.stdout:
                    events.write(line)
                    log.write(parse_event(line).get("Output", ""))
                    ended = run.take(line)
                    if ended and not ended.skipped_for:
                        print(f"{ended.outcome:8} {ended.name} ({ended.seconds:.1f} s)", file=sys.stderr)
            except BaseException:
                os.killpg(suite.pid, signal.SIGKILL)
                raise
    return run
