"""pass@k of samples from counts alone, and the report of how the programs were run."""

import json
import math
from dataclasses import replace

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


def test_harness_errors_are_counted_and_not_in_the_mean(capsys):
    scoreboard = board({"T/0": (2, 1)})
    scoreboard.add_sample("T/0", Outcome.HARNESS_ERROR, "no process")
    scoreboard.add_sample("T/0", Outcome.HARNESS_ERROR, "another")
    scores = scoreboard.scores(PROBLEMS, (1, 2, 10))
    assert (scores.harness_errors, scores.harness_error) == (2, "no process")
    assert {k: rate.value for k, rate in scores.pass_at_k.items()} == {1: 0.5, 2: 1.0}
    assert scores.outcomes == {"passed": 1, "failed": 1, "harness_error": 2}
    nothing = ScoreBoard()
    nothing.add_sample("T/0", Outcome.HARNESS_ERROR, "lost")
    assert math.isnan(nothing.scores(PROBLEMS).pass_at_k[1].value)
    print_sample_scores(nothing.scores(PROBLEMS), as_json=True)
    assert json.loads(capsys.readouterr().out)["pass_at_k"] == {"pass@1": None}
    print_sample_scores(nothing.scores(PROBLEMS), as_json=False)
    shown = capsys.readouterr().out
    assert "pass@1: undefined" in shown and "the first: lost" in shown


def test_the_report_says_how_programs_were_run(capsys, snapshot):
    scoreboard = board({"T/0": (8, 8)})
    shared = Verdict(Outcome.PASSED, "", "", 0.1, 3.0, Level.STRONG, Lane.SHARED, Oracle.OUTSIDE)
    for audit in ("", "same", "failed"):
        scoreboard.add_verdict(replace(shared, audit=audit), kept=False)
    scoreboard.add_verdict(replace(shared, seconds=2.0, lane=Lane.STRICT, oracle=Oracle.INSIDE), kept=True)
    scores = scoreboard.scores(PROBLEMS[:1])
    assert score_lines(scores) == snapshot
    print_sample_scores(scores, as_json=True)
    assert json.loads(capsys.readouterr().out) == snapshot


def test_parts_of_the_tests_have_rates_beside_those_of_all_tests():
    scoreboard = ScoreBoard(("base", "plus"))
    for task, outcome, parts in (("T/0", "passed", "base,plus"), ("T/1", "failed", "base"), ("T/2", "failed", "")):
        scoreboard.add_sample(task, outcome, "", parts)
    scores = scoreboard.scores(PROBLEMS[:3])
    assert {k: rate.value for k, rate in scores.parts["base"].items()} == {1: pytest.approx(2 / 3)}
    lines = score_lines(scores)
    assert [line.partition(" (")[0] for line in lines[-2:]] == ["pass@1: 0.3333", "pass@1 base: 0.6667"]
    assert scores_json(scores)["pass_at_k"].keys() == {"pass@1", "pass@1 base"}
