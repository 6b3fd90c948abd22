"""The documents say what the results say, and change only with them."""

import unittest
from pathlib import Path

from runner import documents, execution
from runner.results import FAILED, PASSED, SKIPPED, Result
from runner.suites import GATEWAY_HTTP, MESH, SUITES

REPORT = (Path(__file__).parent / "testdata/report.yaml").read_text()
SUITE = SUITES["1.7.0"]


def failed(name: str, message: str) -> Result:
    return Result(name, FAILED, failed_parts=["part"], parts={"part": [f"    http.go:1: {message}\n"]})


class Tables(unittest.TestCase):
    def test_a_row_names_features_beyond_the_core_and_the_outcome(self) -> None:
        features = {"MeshPorts": frozenset({"Mesh", "HTTPRoute", "HTTPRouteParentRefPort"})}
        text = documents.table([Result("MeshPorts", PASSED)], features, MESH)
        self.assertIn("| MeshPorts | HTTPRouteParentRefPort | passed |", text)
        self.assertIn("1 of 1 passed.", text)

    def test_a_failure_cannot_break_the_table(self) -> None:
        text = documents.table([failed("MeshBasic", "got a|b <none>")], {}, MESH)
        self.assertIn(r"| MeshBasic | - | **failed**: got a\|b \<none\> |", text)

    def test_skipped_tests_count_as_failed(self) -> None:
        self.assertEqual(documents.counts([Result("A", PASSED), Result("B", SKIPPED), Result("C")]), (1, 2))

    def test_text_goes_between_its_markers_and_nothing_else_changes(self) -> None:
        begin, end = f"<!-- x: {documents.REPOSITORY_NOTE} -->", "<!-- x: end -->"
        once = documents.between_markers(f"a\n{begin}\n{end}\nb\n", "x", "new")
        self.assertEqual(once, f"a\n{begin}\nnew\n{end}\nb\n")
        self.assertEqual(documents.between_markers(once, "x", "new"), once)

    def test_missing_markers_are_an_error(self) -> None:
        with self.assertRaisesRegex(ValueError, "lacks the lines"):
            documents.between_markers("a\n", "x", "new")

    def test_the_readme_has_the_markers_of_every_suite(self) -> None:
        text = (Path(__file__).parents[2] / "docs/conformance/README.md").read_text()
        for suite in SUITES.values():
            self.assertIn("new text", documents.between_markers(text, f"{suite.tag} mesh", "new text"))

    def test_failures_are_listed_with_their_reasons(self) -> None:
        setup = failed("Setup", "Gateways not ready")
        text = documents.failures(SUITE, GATEWAY_HTTP, [Result("A", PASSED), failed("B", "got 404")], setup, beyond=5)
        self.assertIn("1 of the 2 tests pass", text)
        self.assertIn("5 more tests", text)
        self.assertIn("set-up fails, and the tests are run in spite of it: Gateways not ready.", text)
        self.assertIn("| B | got 404 |", text)
        self.assertNotIn("| A |", text)


class Reports(unittest.TestCase):
    def test_profiles_are_in_order_and_nothing_is_lost(self) -> None:
        ordered = documents.with_ordered_profiles(REPORT)
        self.assertLess(ordered.index("name: MESH-GRPC"), ordered.index("name: MESH-HTTP"))
        self.assertEqual(sorted(ordered.splitlines()), sorted(REPORT.splitlines()))
        self.assertEqual(ordered.splitlines()[-2:], REPORT.splitlines()[-2:])
        self.assertEqual(documents.with_ordered_profiles(ordered), ordered)

    def test_a_new_date_alone_changes_nothing(self) -> None:
        committed = documents.stable_report(REPORT, None)
        later = REPORT.replace("2026-11-25T20:00:00Z", "2027-01-01T00:00:00Z")
        self.assertEqual(documents.stable_report(later, committed), committed)

    def test_another_result_brings_its_own_date(self) -> None:
        committed = documents.stable_report(REPORT, None)
        worse = REPORT.replace("2026-11-25", "2027-01-01").replace("Passed: 3", "Passed: 2")
        self.assertEqual(documents.stable_report(worse, committed), documents.with_ordered_profiles(worse))


class CommandLine(unittest.TestCase):
    def test_a_whole_run_makes_a_report_of_both_profiles(self) -> None:
        flags = execution.flags(MESH, "v0.1.0", Path("/tmp/report.yaml"), [])
        for flag in ("-test.run=^TestConformance$", "-conformance-profiles=MESH-HTTP,MESH-GRPC", "-report-output=/tmp/report.yaml", "-version=v0.1.0"):
            self.assertIn(flag, flags)
        self.assertIn("-namespace-labels=heddle.dev/mesh=enabled", flags)

    def test_chosen_tests_are_chosen_with_the_set_up(self) -> None:
        flags = execution.flags(MESH, "v0.1.0", None, ["MeshBasic", "MeshPorts"])
        self.assertIn("-test.run=^TestConformance$/^(MeshBasic|MeshPorts|Setup)$", flags)
        self.assertFalse([flag for flag in flags if flag.startswith("-report-output")])

    def test_what_may_fail_goes_on_after_a_failed_set_up_and_makes_no_report(self) -> None:
        flags = execution.flags(GATEWAY_HTTP, "v0.1.0", Path("/tmp/report.yaml"), [])
        self.assertIn("-go-on-without-setup=true", flags)
        self.assertFalse([flag for flag in flags if flag.startswith("-report-output")])


if __name__ == "__main__":
    unittest.main()
