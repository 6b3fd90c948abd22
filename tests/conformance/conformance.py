#!/usr/bin/env python3
"""The Gateway API conformance suite, run against Heddle on a cluster. `scripts/conformance.sh` calls this with everything installed that it needs."""

import argparse
import fcntl
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from runner import documents, execution, kubernetes, programs, results
from runner.kubernetes import ConformanceError
from runner.results import PASSED, SETUP, SKIPPED, Result, Run
from runner.suites import CACHE, CHECKOUT, DOCS, PROFILES, SUITES, Profile, Suite

EXCERPT_LINES = 30
"""How much of a failed test's log is shown."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="conformance.sh", description=__doc__)
    parser.add_argument("--suite", choices=SUITES, default="1.7.0", help="release of Gateway API (default: %(default)s)")
    parser.add_argument("--profile", choices=PROFILES, default="mesh", help="what of it (default: %(default)s)")
    parser.add_argument("--run", metavar="TEST", action="append", default=[], help="only this test; may be repeated; writes no document")
    parser.add_argument("--no-documents", action="store_true", help="write nothing into docs/conformance")
    parser.add_argument("--smoke", action="store_true", help="only build everything, and see that it starts; needs no cluster")
    parser.add_argument("--install-crds", action="store_true", help="only install the CRDs of the release and the profile's channel")
    arguments = parser.parse_args()
    # So that what must be cleaned up is cleaned up then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    suite, profile = SUITES[arguments.suite], PROFILES[arguments.profile]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if arguments.smoke:
                return smoke(suite)
            if arguments.install_crds:
                cluster = kubernetes.connect(kubernetes.default_kubeconfig())
                kubernetes.install_crds(cluster, programs.module_folder(suite, "sigs.k8s.io/gateway-api"), suite.tag, profile.channel)
                return 0
            return perform(suite, profile, arguments.run, documented=not arguments.no_documents)
        except BlockingIOError:
            return fail("another run is going on")
        except ConformanceError as error:
            return fail(str(error))
        except subprocess.CalledProcessError as error:
            return fail(f"{error}\n{error.stderr or ''}".strip())


def smoke(suite: Suite) -> int:
    """Everything is built, starts, and is understood: without a cluster the suite ends with the reason that we expect."""
    built = programs.build_all(suite)
    for tarball in programs.image_tarballs(suite, built):
        print(f"{tarball} ({tarball.stat().st_size >> 20} MiB)")
    known = programs.tests_and_features(suite)
    for profile in PROFILES.values():
        print(f"{suite.tag} {profile.name}: {len(chosen_tests(profile, known))} tests")
        with tempfile.TemporaryDirectory() as folder:
            run = execution.execute(built.suite, execution.flags(profile, version(), None, []), Path("/dev/null"), Path(folder))
        if "no configuration has been provided" not in "".join(run.root.output):
            return fail(f"the suite does not ask for a cluster:\n{''.join(run.root.output)}")
    return 0


def perform(suite: Suite, profile: Profile, only: list[str], *, documented: bool) -> int:
    features = programs.tests_and_features(suite)
    chosen = chosen_tests(profile, features)
    if unknown := sorted(set(only) - chosen):
        raise ConformanceError(f"the profile {profile.name} of {suite.tag} has no test {', '.join(unknown)}; it has: {', '.join(sorted(chosen))}")
    built = programs.build_all(suite)
    cluster = kubernetes.connect(kubernetes.default_kubeconfig())
    namespace = kubernetes.wait_for_heddle(cluster)
    kubernetes.load_images(cluster, programs.image_tarballs(suite, built))
    kubernetes.remove_leftovers(cluster)
    kubernetes.install_crds(cluster, programs.module_folder(suite, "sigs.k8s.io/gateway-api"), suite.tag, profile.channel)
    folder = Path(tempfile.mkdtemp(prefix="heddle-conformance-"))
    report = None if only else folder / "report.yaml"
    try:
        if "Gateway" in profile.core:
            kubernetes.create_gateway_class(cluster)
        run = execution.execute(built.suite, execution.flags(profile, version(), report, only), cluster.kubeconfig, folder)
        counted = results.select(run, only or chosen)
        if any(result.outcome != PASSED for result in counted):
            kubernetes.keep_evidence(cluster, namespace, folder)
        if documented and not only and run.results:
            write_documents(suite, profile, run, counted, features, report)
    finally:
        kubernetes.remove_leftovers(cluster)
    return summary(profile, run, counted, folder)


def chosen_tests(profile: Profile, features: dict[str, frozenset[str]]) -> set[str]:
    """The tests that count: all that concern the profile's subject, else all that need only what we claim."""
    if profile.subject:
        return {name for name, needed in features.items() if profile.subject in needed}
    return {name for name, needed in features.items() if needed <= {*profile.core, *profile.claimed}}


def version() -> str:
    """The workspace's version, as a tag."""
    found = re.search(r'^\[workspace\.package\]$.*?^version = "(.*?)"', (CHECKOUT / "Cargo.toml").read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        raise ConformanceError("Cargo.toml has no version in [workspace.package]")
    return f"v{found[1]}"


def write_documents(suite: Suite, profile: Profile, run: Run, counted: list[Result], features: dict[str, frozenset[str]], report: Path) -> None:
    if profile.may_fail:
        file = DOCS / f"{profile.name}.md"
        documents.update(file, documents.failures(suite, profile, counted, run.results.get(SETUP), len(beyond(profile, features))))
        return
    readme = DOCS / "README.md"
    text = documents.between_markers(readme.read_text(), f"{suite.tag} {profile.name}", documents.table(counted, features, profile))
    documents.update(readme, text)
    if report.exists():
        file = DOCS / f"{suite.tag}-{profile.name}.yaml"
        documents.update(file, documents.stable_report(report.read_text(), file.read_text() if file.exists() else None))


def beyond(profile: Profile, features: dict[str, frozenset[str]]) -> set[str]:
    """Tests of Gateways with HTTP alone that need something that we do not claim."""
    others = ("Mesh", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
    own = {name for name, needed in features.items() if not any(feature.startswith(others) for feature in needed)}
    return own - chosen_tests(profile, features)


def summary(profile: Profile, run: Run, counted: list[Result], folder: Path) -> int:
    """Says what did not pass, and why; the last line counts."""
    passed, failed = documents.counts(counted)
    if not run.results:
        print("\nThe suite ended before its first test:", *run.root.output[-EXCERPT_LINES:], sep="\n", file=sys.stderr)
    for result in (each for each in counted if each.outcome != PASSED and run.results):
        print(f"\n== {result.name}: {result.outcome}: {result.reason}", file=sys.stderr)
        if result.outcome != SKIPPED and not profile.may_fail:
            print("".join(result.output[-EXCERPT_LINES:]), end="", file=sys.stderr)
    if failed:
        print(f"\nconformance: all logs are in {folder}", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    print(f"{passed} passed, {failed} failed")
    return 0 if profile.may_fail and run.results or not failed else 1


def fail(reason: str) -> int:
    print(f"conformance: {reason}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
