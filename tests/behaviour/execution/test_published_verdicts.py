"""Verdicts on completions that a published model wrote for HumanEval equal those that were published beside them."""

from __future__ import annotations

import json

import pytest

from raysweep.execution import execute
from raysweep.problems.humaneval import HumanEval
from raysweep.programs import Lane, Limits, Outcome, Sandbox
from tests.conftest import shared_data

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("lane", [pytest.param(Lane.STRICT, marks=pytest.mark.long), Lane.SHARED])
def test_verdicts_are_the_published_ones(lane):
    lines = shared_data("completions", "humaneval_gpt4.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    problems = {problem.task_id: problem for problem in HumanEval().problems()}
    programs = [problems[row["task_id"]].assemble(row["solution"]) for row in rows]
    verdicts = execute(programs, Limits(timeout=10), 2, Sandbox(lane))
    differing = {
        row["task_id"]: (verdict.outcome, verdict.detail)
        for row, verdict in zip(rows, verdicts, strict=True)
        if (verdict.outcome is Outcome.PASSED) is not row["is_solved"]
    }
    assert differing == {}
    assert sum(verdict.outcome is Outcome.PASSED for verdict in verdicts) == 150
