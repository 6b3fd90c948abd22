"""What a run leaves in `docs/conformance`. Pure but for `update`; the same results give the same text."""

import re
from pathlib import Path

from .results import FAILED, PASSED, Result
from .suites import Profile, Suite

REPOSITORY_NOTE = "Written by `scripts/conformance.sh`; do not edit."


def counts(results: list[Result]) -> tuple[int, int]:
    """How many passed, and how many did not: a skipped test and one that was not reached count as failed."""
    passed = sum(result.outcome == PASSED for result in results)
    return passed, len(results) - passed


def table(results: list[Result], features: dict[str, frozenset[str]], profile: Profile) -> str:
    """One line for each test: what it needs beyond the core, and how it ended."""
    rows = ["| test | features beyond the core | result |", "|---|---|---|"]
    for result in results:
        beyond = ", ".join(sorted(features.get(result.name, frozenset()) - set(profile.core)))
        rows.append(f"| {result.name} | {beyond or '-'} | {outcome(result)} |")
    passed, failed = counts(results)
    return "\n".join([*rows, "", f"{passed} of {passed + failed} passed."])


def outcome(result: Result) -> str:
    return result.outcome if result.outcome == PASSED else f"**{result.outcome}**: {cell(result.reason)}"


def cell(text: str) -> str:
    """Text of a log inside of a table: what Markdown would read as its own is escaped."""
    return re.sub(r"([|*_<>`\[\]])", r"\\\1", text)


def between_markers(document: str, name: str, text: str) -> str:
    """The document with what stands between the markers of that name replaced."""
    begin, end = f"<!-- {name}: {REPOSITORY_NOTE} -->", f"<!-- {name}: end -->"
    if document.count(begin) != 1 or document.count(end) != 1 or document.index(begin) > document.index(end):
        raise ValueError(f"the document lacks the lines `{begin}` and `{end}`")
    before, rest = document.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def failures(suite: Suite, profile: Profile, results: list[Result], setup: Result | None, beyond: int) -> str:
    """The document of a profile that we do not pass yet: what fails, and why."""
    passed, _ = counts(results)
    broken = [result for result in results if result.outcome != PASSED]
    lines = [
        f"# {', '.join(profile.reported)}, Gateway API {suite.tag}",
        "",
        REPOSITORY_NOTE,
        "",
        f"{passed} of the {len(results)} tests pass that need only what Heddle claims; {beyond} more tests need other features.",
    ]
    if setup and setup.outcome == FAILED:
        lines += ["", f"The suite's set-up fails, and the tests are run in spite of it: {cell(setup.reason)}."]
    if broken:
        lines += ["", "| does not pass | why |", "|---|---|", *(f"| {result.name} | {cell(result.reason)} |" for result in broken)]
    return "\n".join([*lines, ""])


def stable_report(written: str, committed: str | None) -> str:
    """The suite's report with its profiles in order, and with the committed date if that is all that would change."""
    ordered = with_ordered_profiles(written)
    return committed if committed is not None and undated(committed) == undated(ordered) else ordered


def with_ordered_profiles(report: str) -> str:
    """The suite writes its profiles in any order. They are the items of the report's only list at the left margin."""
    match = re.search(r"^profiles:\n((?:[-\s].*\n?)+)", report, re.MULTILINE)
    if match is None:
        return report
    items = re.split(r"^(?=- )", match[1], flags=re.MULTILINE)[1:]
    return report[: match.start(1)] + "".join(sorted(items, key=profile_name)) + report[match.end(1) :]


def profile_name(item: str) -> str:
    return re.search(r"^(?:- |  )name: (.*)$", item, re.MULTILINE)[1]


def undated(report: str) -> str:
    return re.sub(r"^date: .*$", "", report, flags=re.MULTILINE)


def update(file: Path, text: str) -> None:
    """Writes a file if that changes it."""
    if not file.exists() or file.read_text() != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
