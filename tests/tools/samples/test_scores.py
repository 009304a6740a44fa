"""pass@k of samples from counts alone, and the report of how the programs were run."""

import json
import math

import pytest

from raysweep.cli.views.execute import print_sample_scores, score_lines, scores_json
from raysweep.metrics.passing import pass_at_k
from raysweep.programs import Lane, Level, Oracle, Outcome, Verdict
from raysweep.records import Problem
from raysweep.stats.intervals import mean_interval
from raysweep.tools.samples.scores import ScoreBoard

PROBLEMS = [Problem(f"T/{at}", "", "f", "") for at in range(4)]


def board(passed: dict[str, tuple[int, int]]) -> ScoreBoard:
    """Count (n, c) samples of each task."""
    scoreboard = ScoreBoard()
    for task, (n, c) in passed.items():
        for draw in range(n):
            scoreboard.add_sample(task, Outcome.PASSED if draw < c else Outcome.FAILED, "")
    return scoreboard


def test_pass_at_k_is_the_mean_over_tasks_with_an_interval_over_tasks():
    scores = board({"T/0": (10, 1), "T/1": (12, 6), "T/2": (10, 0)}).scores(PROBLEMS)
    assert set(scores.pass_at_k) == {1, 10}
    for k, rate in scores.pass_at_k.items():
        each = [pass_at_k(10, 1, k), pass_at_k(12, 6, k), pass_at_k(10, 0, k)]
        assert rate.value == pytest.approx(sum(each) / 3)
        assert (rate.low, rate.high) == mean_interval(each)
        assert rate.low < rate.value < rate.high
    assert (scores.samples, scores.tasks, scores.missing) == (32, 3, ("T/3",))


def test_harness_errors_are_counted_and_not_in_the_mean():
    scoreboard = board({"T/0": (2, 1)})
    scoreboard.add_sample("T/0", Outcome.HARNESS_ERROR, "no process")
    scoreboard.add_sample("T/0", Outcome.HARNESS_ERROR, "another")
    scores = scoreboard.scores(PROBLEMS, (1, 2, 10))
    assert (scores.harness_errors, scores.harness_error) == (2, "no process")
    assert {k: rate.value for k, rate in scores.pass_at_k.items()} == {1: 0.5, 2: 1.0}
    assert scores.outcomes == {"passed": 1, "failed": 1, "harness_error": 2}
    nothing = ScoreBoard()
    nothing.add_sample("T/0", Outcome.HARNESS_ERROR, "")
    assert math.isnan(nothing.scores(PROBLEMS).pass_at_k[1].value)


def test_the_report_says_how_programs_were_run(capsys):
    scoreboard = board({"T/0": (8, 8)})
    for audit in ("", "same", "failed"):
        scoreboard.add_verdict(
            Verdict(Outcome.PASSED, "", "", 0.1, 3.0, Level.STRONG, Lane.SHARED, Oracle.OUTSIDE, audit), kept=False
        )
    scoreboard.add_verdict(
        Verdict(Outcome.PASSED, "", "", 2.0, 3.0, Level.STRONG, Lane.STRICT, Oracle.INSIDE), kept=True
    )
    scores = scoreboard.scores(PROBLEMS[:1])
    lines = "\n".join(score_lines(scores))
    for text in (
        "8 samples of 1 task: 4 distinct programs; 50 % of the samples repeat",
        "isolation: strong; lanes: strict 1, shared 3; tests: outside 3, inside 1",
        "tests inside run in the program's process, which is no boundary against a program that wants to pass",
        "judged again in the strict lane: 2 shared programs, 1 of them differ",
        "25 % of the programs took half of the limit or more",
        "1 program had a verdict",
        "pass@1: 1.0000 (no interval from one task)",
    ):
        assert text in lines
    print_sample_scores(scores, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["pass_at_k"] == {"pass@1": 1.0}
    assert printed["interval_95"] == {"pass@1": {"low": None, "high": None}}
    assert (printed["audited"], printed["audit_differences"], printed["near_limit"], printed["kept"]) == (2, 1, 1, 1)
    assert printed["repeated_share"] == 0.5


def test_an_undefined_number_is_null_in_json_and_the_word_undefined_in_text(capsys):
    scoreboard = ScoreBoard()
    scoreboard.add_sample("T/0", Outcome.HARNESS_ERROR, "lost")
    scores = scoreboard.scores(PROBLEMS)
    print_sample_scores(scores, as_json=True)
    assert json.loads(capsys.readouterr().out)["pass_at_k"] == {"pass@1": None}
    print_sample_scores(scores, as_json=False)
    shown = capsys.readouterr().out
    assert "pass@1: undefined" in shown and "the first: lost" in shown


def test_parts_of_the_tests_have_rates_beside_those_of_all_tests():
    scoreboard = ScoreBoard(("base", "plus"))
    for task, outcome, parts in (("T/0", "passed", "base,plus"), ("T/1", "failed", "base"), ("T/2", "failed", "")):
        scoreboard.add_sample(task, outcome, "", parts)
    scores = scoreboard.scores(PROBLEMS[:3])
    assert {k: rate.value for k, rate in scores.parts["base"].items()} == {1: pytest.approx(2 / 3)}
    lines = score_lines(scores)
    assert [line.partition(" (")[0] for line in lines[-2:]] == ["pass@1: 0.3333", "pass@1 base: 0.6667"]
    assert scores_json(scores)["pass_at_k"].keys() == {"pass@1", "pass@1 base"}
