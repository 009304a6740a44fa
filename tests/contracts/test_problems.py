"""The contract of problem sets, tested on every registered one."""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.generators.base import cut_at_stop
from raysweep.hashing import canonical_json
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.programs import Outcome
from raysweep.records import Problem, Spec
from tests.conftest import shared_data

ROWS = [
    {
        "task_id": f"example/{n}",
        "prompt": f'def add_{n}(x):\n    """Return x plus {n}."""\n',
        "entry_point": f"add_{n}",
        "canonical_solution": f"    return x + {n}\n",
        "test": f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
    }
    for n in range(3)
]

SHARED: dict[str, tuple[str, dict[str, tuple[str, ...]], dict[str, Any]]] = {  # case: set, paths of its data, arguments
    "mbpp of ReCode": ("mbpp", {"path": ("recode", "nominal", "mbpp_wtest.jsonl.gz")}, {}),
    "mbpp of EvalPlus": ("mbpp", {"path": ("mbppplus", "MbppPlus.jsonl.gz")}, {}),
    "humaneval-plus": ("humaneval-plus", {"path": ("humanevalplus", "HumanEvalPlus.jsonl.gz")}, {}),
    "humaneval-plus, mini": ("humaneval-plus", {"path": ("humanevalplus", "HumanEvalPlus-Mini.jsonl.gz")}, {}),
    "mbpp-plus": ("mbpp-plus", {"path": ("mbppplus", "MbppPlus.jsonl.gz")}, {}),
    "safecoder-humaneval": ("safecoder-humaneval", {"path": ("safecoder",)}, {}),
    "safecoder-mbpp": ("safecoder-mbpp", {"path": ("safecoder",)}, {}),
    "humaneval-x java": ("humaneval-x", {"path": ("humaneval_x", "humaneval_java.jsonl.gz")}, {"language": "java"}),
    "humaneval-x cpp": ("humaneval-x", {"path": ("humaneval_x", "humaneval_cpp.jsonl.gz")}, {"language": "cpp"}),
}
CUT = {  # references that a stop string ends
    "mbpp of ReCode": {"MBPP/64", "MBPP/223", "MBPP/717", "MBPP/940"},  # a comment or a function at the margin
    "humaneval-x cpp": {"CPP/94"},  # the first lines of the tests stand in it
}
BROKEN = {  # references of ReCode's that don't compile, since the code's own indentation was lost
    "mbpp of ReCode": {"MBPP/64", "MBPP/966"},
}
FAILING = {  # published references that do not pass
    "mbpp of ReCode": {
        "MBPP/64": "a comment where the body should begin",
        "MBPP/966": "a first line that is indented otherwise",
        "MBPP/56": "the function is called check, like the one that tests it",
        "MBPP/899": "the function is called check, like the one that tests it",
        "MBPP/349": "the function is called check, like the one that tests it",
        "MBPP/967": "the function is called check, like the one that tests it",
        "MBPP/160": "the function is called solution, and the test's text 'No solution' became 'No candidate'",
        "MBPP/642": "the test wants sets in an order of their own",
        "MBPP/596": "the test wants the bytes that a tuple took in an older Python",
        "MBPP/601": "the tests need the class Pair, which became local",
        "MBPP/367": "the trees of the tests are missing",
        "MBPP/927": "the trees of the tests are missing",
        "MBPP/607": "the solution overwrites its arguments",
        "MBPP/631": "the solution overwrites its argument",
    },
}
SAMPLE = None if os.environ.get("RAYSWEEP_TEST_WHOLE_SETS") else 40
"""How many programs of each set run; with the variable set all do, which takes some minutes more."""
FEWER = {"humaneval-plus": 10, "mbpp-plus": 10}
"""How many run of the sets whose programs take long."""

CASES = [*(name for name in PROBLEMS.names() if name not in {case[0] for case in SHARED.values()}), *SHARED]
each = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def executor():
    with Executor(2) as pool:
        yield pool


@cache
def shared(case: str) -> ProblemSet:
    name, paths, args = SHARED[case]
    return PROBLEMS.create(Spec(name, {**args, **{key: str(shared_data(*parts)) for key, parts in paths.items()}}))


def make(name: str, folder: Path) -> ProblemSet:
    if name in SHARED:
        return shared(name)
    file = folder / "problems.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    args: dict[str, dict[str, Any]] = {"jsonl": {"path": str(file)}, "minicode": {"world": 3, "count": 20}}
    try:
        return PROBLEMS.create(Spec(name, args.get(name, {})))
    except UsageError as error:
        pytest.skip(f"{name} can't be made here: {error}")


def compiling(name: str, folder: Path) -> list[Problem]:
    """Return the problems in Python with a reference that should compile."""
    problems = [p for p in make(name, folder).problems() if p.language == "python" and p.reference is not None]
    return [problem for problem in problems if problem.task_id not in BROKEN.get(name, ())]


@each
def test_task_ids_are_unique(name, tmp_path):
    ids = [problem.task_id for problem in make(name, tmp_path).problems()]
    assert ids
    assert len(set(ids)) == len(ids)


@each
def test_python_references_compile_and_define_the_entry_point(name, tmp_path):
    for problem in make(name, tmp_path).problems():
        if (
            problem.language == "python"
            and problem.reference is not None
            and problem.task_id not in BROKEN.get(name, ())
        ):
            code = compile(problem.prompt + problem.reference, problem.task_id, "exec")
            assert problem.entry_point in code.co_names


@each
def test_programs_of_python_references_compile(name, tmp_path):
    for problem in make(name, tmp_path).problems():
        if (
            problem.language == "python"
            and problem.reference is not None
            and problem.task_id not in BROKEN.get(name, ())
        ):
            compile(problem.assemble(problem.reference).source, problem.task_id, "exec")


@each
def test_no_stop_string_cuts_a_reference(name, tmp_path):
    for problem in make(name, tmp_path).problems():
        assert problem.stop
        if problem.reference is not None and problem.task_id not in CUT.get(name, ()):
            assert cut_at_stop(problem.reference, problem.stop) == (problem.reference, None), problem.task_id


@each
def test_segments_join_to_the_prompt_and_hold_natural_language(name, tmp_path):
    problems = make(name, tmp_path)
    for problem in problems.problems():
        segments = problems.segments(problem)
        assert "".join(segment.text for segment in segments) == problem.prompt
        assert any(segment.natural and segment.text.strip() for segment in segments), problem.task_id


@each
def test_examples_are_never_natural(name, tmp_path):
    problems = make(name, tmp_path)
    for problem in problems.problems():
        natural = [segment.text for segment in problems.segments(problem) if segment.natural]
        for sign in (">>>", "Test examples:", "assert "):
            assert not any(sign in text for text in natural), problem.task_id


@each
def test_python_references_pass_and_empty_completions_fail(name, tmp_path, executor):
    known = FAILING.get(name, {})
    problems = [p for p in make(name, tmp_path).problems() if p.language == "python"]
    every = max(1, len(problems) // FEWER.get(name, SAMPLE)) if SAMPLE else 1
    tried = [p for index, p in enumerate(problems) if index % every == 0 or p.task_id in known]
    judged = [p for p in tried if p.reference is not None]
    programs = [p.assemble(p.reference or "") for p in judged] + [p.assemble("") for p in tried]
    verdicts = executor.run(programs, make(name, tmp_path).limits)
    outcomes = [verdict.outcome for verdict in verdicts]
    references, empty = outcomes[: len(judged)], outcomes[len(judged) :]
    failed = {p.task_id for p, outcome in zip(judged, references, strict=True) if outcome is not Outcome.PASSED}
    assert failed == set(known)
    assert not {Outcome.PASSED, Outcome.HARNESS_ERROR} & set(empty)


@each
def test_sets_are_checked_before_work_where_their_programs_can_be_run(name, tmp_path):
    problems = make(name, tmp_path)
    problems.check()
    if all(problem.language == "python" for problem in problems.problems()):
        problems.check(judged=True)
    else:
        with pytest.raises(UsageError, match="can't be run yet"):
            problems.check(judged=True)


@each
def test_two_objects_of_one_spec_are_equal_in_problems_and_fingerprint(name, tmp_path):
    one = make(name, tmp_path)
    shared.cache_clear()
    other = make(name, tmp_path)
    assert list(one.problems()) == list(other.problems())
    assert canonical_json(dict(one.fingerprint())) == canonical_json(dict(other.fingerprint()))


@each
def test_fingerprint_is_json_without_a_path(name, tmp_path):
    text = json.dumps(dict(make(name, tmp_path).fingerprint()))
    assert text != "{}"
    assert str(tmp_path) not in text


def test_every_set_but_a_users_file_says_its_licence_and_where_it_is_published():
    kinds = [PROBLEMS.get(name) for name in PROBLEMS.names()]
    built_in = [kind for kind in kinds if kind.__module__.startswith("raysweep.")]
    assert {kind.name for kind in built_in if not (kind.licence and kind.origin)} == {"jsonl"}
    assert all(re.fullmatch(r"([A-Za-z0-9.-]+( AND [A-Za-z0-9.-]+)*)?", kind.licence) for kind in built_in)
