"""What a run of the suite says, read from the events of `go tool test2json`. Pure: lines in, results out."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

ROOT = "TestConformance"
"""The one test of the program; the suite's tests are below it."""

SETUP = "Setup"
"""The set-up, where it is a test of its own."""

PASSED, FAILED, SKIPPED, UNFINISHED = "passed", "failed", "skipped", "unfinished"
OUTCOMES = {"pass": PASSED, "fail": FAILED, "skip": SKIPPED}

REASON_LENGTH = 240


@dataclass
class Result:
    """One test of the suite, with all that it and its subtests wrote."""

    name: str
    outcome: str = UNFINISHED
    seconds: float = 0.0
    output: list[str] = field(default_factory=list)
    failed_parts: list[str] = field(default_factory=list)
    """Names of the tests in it that failed, itself included, the deepest first."""
    parts: dict[str, list[str]] = field(default_factory=dict)
    """What each of the tests in it wrote."""

    @property
    def skipped_for(self) -> str | None:
        """The feature without which the suite did not run the test."""
        found = re.search(r"suite does not support (\w+)", "".join(self.output)) if self.outcome == SKIPPED else None
        return found[1] if found else None

    @property
    def reason(self) -> str:
        """Why it did not pass, in one line; empty if it did."""
        if self.outcome == PASSED:
            return ""
        if self.outcome == UNFINISHED:
            return "not reached within the time that the suite was given"
        if self.outcome == SKIPPED:
            return reason("".join(self.output))
        for part in self.failed_parts:
            if found := reason("".join(self.parts.get(part, []))):
                return found
        return "it says no reason"


@dataclass
class Run:
    """A whole run."""

    results: dict[str, Result] = field(default_factory=dict)
    root: Result = field(default_factory=lambda: Result(ROOT))
    """What was written outside of all tests: set-up, clean-up, a panic."""

    def take(self, line: str) -> Result | None:
        """Takes one line of events; returns the suite's test that it ends, if it does."""
        event = parse_event(line)
        path = event.get("Test", ROOT).split("/")
        result = self.results.setdefault(path[1], Result(path[1])) if len(path) > 1 else self.root
        part = "/".join(path)
        if event["Action"] == "output":
            result.output.append(event["Output"])
            result.parts.setdefault(part, []).append(event["Output"])
        outcome = OUTCOMES.get(event["Action"])
        if outcome == FAILED and part not in result.failed_parts:
            result.failed_parts.append(part)
        if outcome is None or len(path) > 2 or "Test" not in event:
            return None
        result.outcome, result.seconds = outcome, event.get("Elapsed", 0.0)
        return result if len(path) == 2 else None


def parse(lines: Iterable[str]) -> Run:
    run = Run()
    for line in lines:
        run.take(line)
    return run


def parse_event(line: str) -> dict:
    """An event, or what the program wrote past the testing library, as if it were one."""
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) and "Action" in event else {"Action": "output", "Output": line}


def select(run: Run, wanted: Iterable[str]) -> list[Result]:
    """The results of the tests that count; one that the run does not know has not been started."""
    return [run.results.get(name) or Result(name) for name in sorted(wanted)]


# Where a line of the log was written, and when.
WRITTEN_AT = re.compile(r"^\s*[\w.-]+\.go:\d+: (?:\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-][\d:]+): )?(.*)$")

# Lines that a test writes after the one that ended it.
CLEANUP = re.compile(r"^(Deleting|Deleted) ")


def reason(output: str) -> str:
    """The message with which a test ended, from what it wrote. The testing library marks it in no way: assertions are found by their
    form, others by being last."""
    lines = output.splitlines()
    if panic := next((line for line in lines if line.startswith("panic: ")), ""):
        return shorten(panic)
    if asserted := assertion(lines):
        return shorten(asserted)
    logged = [found[1] for line in lines if (found := WRITTEN_AT.match(line)) and not CLEANUP.match(found[1])]
    if not logged:
        return ""
    if logged[-1].startswith("timeout while waiting"):
        # Only what was seen before says what was missing.
        seen = [found[1] for line in logged if (found := re.search(r"not ready yet: (.*)", line))]
        return shorten(f"{seen[-1]} ({logged[-1]})" if seen else logged[-1])
    return shorten(logged[-1])


def assertion(lines: list[str]) -> str:
    """The first assertion that failed: its message and error."""
    for number, line in enumerate(lines):
        if line.strip().startswith("Error Trace:"):
            error, message = field_of(lines[number:], "Error:"), field_of(lines[number:], "Messages:")
            return ": ".join(part for part in (message, error) if part)
    return ""


def field_of(lines: list[str], label: str) -> str:
    """A field of an assertion, with the lines that go on with it: they have a tab, and no label."""
    parts: list[str] = []
    for line in lines:
        text = line.strip()
        if parts and ("\t" not in line or re.match(r"(Error Trace|Error|Messages|Test):", text)):
            break
        if parts:
            parts.append(text)
        elif text.startswith(label):
            parts.append(text.removeprefix(label).strip())
    return " ".join(part for part in parts if part)


def shorten(text: str) -> str:
    text = re.sub(r"\s*\(after [\w.]+\)", "", " ".join(text.split()))
    return text if len(text) <= REASON_LENGTH else f"{text[: REASON_LENGTH - 1]}…"
