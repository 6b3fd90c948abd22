"""What a run says is read right. The events are those of a real test program with the suite's kinds of messages."""

import json
import unittest
from pathlib import Path

from runner.results import FAILED, PASSED, SKIPPED, UNFINISHED, parse, reason, select

EVENTS = (Path(__file__).parent / "testdata/events.json").read_text().splitlines(keepends=True)


class Outcomes(unittest.TestCase):
    def setUp(self) -> None:
        self.run_of_all = parse(EVENTS)

    def test_each_test_of_the_suite_has_its_outcome_and_subtests_have_none_of_their_own(self) -> None:
        outcomes = {name: result.outcome for name, result in self.run_of_all.results.items()}
        self.assertEqual(
            outcomes,
            {"MeshPasses": PASSED, "MeshTimesOut": FAILED, "MeshAsserts": FAILED, "MeshSays": FAILED, "GatewaySkips": SKIPPED, "MeshHangs": FAILED},
        )

    def test_a_test_that_was_not_reached_counts_as_unfinished(self) -> None:
        [passed, missing] = select(self.run_of_all, {"MeshPasses", "MeshNeverStarts"})[::-1]
        self.assertEqual((passed.outcome, missing.outcome), (PASSED, UNFINISHED))
        self.assertIn("not reached", missing.reason)

    def test_a_test_whose_end_is_missing_is_unfinished(self) -> None:
        cut = [line for line in EVENTS if not ('"pass"' in line and '"TestConformance/MeshPasses"' in line)]
        self.assertEqual(parse(cut).results["MeshPasses"].outcome, UNFINISHED)

    def test_a_skipped_test_names_the_feature_that_was_not_claimed(self) -> None:
        self.assertEqual(self.run_of_all.results["GatewaySkips"].skipped_for, "Gateway")
        self.assertIsNone(self.run_of_all.results["MeshPasses"].skipped_for)

    def test_the_set_ups_own_output_belongs_to_no_test(self) -> None:
        self.assertIn("Applying base manifests", "".join(self.run_of_all.root.output))
        self.assertNotIn("Applying base manifests", "".join(self.run_of_all.results["MeshPasses"].output))

    def test_lines_that_are_no_events_are_kept_as_output(self) -> None:
        run = parse(["fork/exec: no such file\n", "3\n", *EVENTS])
        self.assertEqual(run.root.output[:2], ["fork/exec: no such file\n", "3\n"])
        self.assertEqual(run.results["MeshPasses"].outcome, PASSED)

    def test_a_suite_that_ends_in_its_set_up_has_no_results(self) -> None:
        run = parse(EVENTS[:4])
        self.assertEqual((run.results, run.root.outcome), ({}, UNFINISHED))


class Reasons(unittest.TestCase):
    def of(self, name: str) -> str:
        return parse(EVENTS).results[name].reason

    def test_a_passed_test_has_none(self) -> None:
        self.assertEqual(self.of("MeshPasses"), "")

    def test_a_time_out_says_what_was_seen_last(self) -> None:
        self.assertEqual(self.of("MeshTimesOut"), "expected pod name to start with echo-v1, got echo-v2-1 (timeout while waiting after 118 attempts)")

    def test_an_assertion_says_its_message_and_its_error(self) -> None:
        self.assertEqual(self.of("MeshAsserts"), "error waiting for HTTPRoute asserts to have parents: Received unexpected error: context deadline exceeded")

    def test_other_failures_say_the_last_line_before_the_clean_up(self) -> None:
        self.assertEqual(self.of("MeshSays"), "Weighted distribution tests failed")

    def test_a_test_that_hangs_says_that_the_time_was_up(self) -> None:
        self.assertEqual(self.of("MeshHangs"), "panic: test timed out after 3s")

    def test_a_skip_says_why(self) -> None:
        self.assertEqual(self.of("GatewaySkips"), "Skipping GatewaySkips: suite does not support Gateway")

    def test_a_failure_in_a_subtest_counts_more_than_what_the_others_wrote_later(self) -> None:
        self.assertNotIn("Request passed", self.of("MeshTimesOut"))

    def test_a_failure_without_words_is_still_one(self) -> None:
        events = [{"Action": "run", "Test": "TestConformance/Mute"}, {"Action": "fail", "Test": "TestConformance/Mute"}]
        self.assertEqual(parse(map(json.dumps, events)).results["Mute"].reason, "it says no reason")

    def test_long_reasons_are_cut(self) -> None:
        cut = reason(f"    http.go:1: {'x' * 1000}\n")
        self.assertEqual((len(cut), cut[-1]), (240, "…"))


if __name__ == "__main__":
    unittest.main()
