"""What every registered problem set promises: sound prompts, references that pass, empty completions that fail."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.generators.base import cut_at_stop
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.programs import Outcome
from raysweep.records import Spec
from raysweep.testing import contract
from tests.conftest import shared_data
from tests.problems.bigcodebench_tasks import write_rows

pytestmark = pytest.mark.slow

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
FAULT = {
    "name": "double",
    "buggy": 'def double(n):\n    """Return twice n."""\n    return 3 * n\n',
    "correct": "def double(n):\n    return 2 * n\n",
    "tests": "assert double(2) == 4\n",
}

SHARED: dict[str, tuple[str, dict[str, tuple[str, ...]], dict[str, Any]]] = {  # case: set, paths of its data, arguments
    "mbpp of ReCode": ("mbpp", {"path": ("recode", "nominal", "mbpp_wtest.jsonl.gz")}, {}),
    "mbpp of EvalPlus": ("mbpp", {"path": ("mbppplus", "MbppPlus.jsonl.gz")}, {}),
    "humaneval-plus": ("humaneval-plus", {"path": ("humanevalplus", "HumanEvalPlus.jsonl.gz")}, {}),
    "humaneval-plus, mini": ("humaneval-plus", {"path": ("humanevalplus", "HumanEvalPlus-Mini.jsonl.gz")}, {}),
    "mbpp-plus": ("mbpp-plus", {"path": ("mbppplus", "MbppPlus.jsonl.gz")}, {}),
    "safecoder-humaneval": ("safecoder-humaneval", {"path": ("safecoder",)}, {}),
    "safecoder-mbpp": ("safecoder-mbpp", {"path": ("safecoder",)}, {}),
    "humaneval-x java": ("humaneval-x", {"path": ("humaneval_x", "humaneval_java.jsonl.gz")}, {"language": "java"}),
    "quixbugs": ("quixbugs", {"path": ("quixbugs", "quixbugs.jsonl.gz")}, {"context": "file"}),
    "humaneval-java": ("humaneval-java", {"path": ("humaneval_java", "humaneval_java.jsonl.gz")}, {"context": "file"}),
    "humaneval-x cpp": ("humaneval-x", {"path": ("humaneval_x", "humaneval_cpp.jsonl.gz")}, {"language": "cpp"}),
}
CUT = {  # references that a stop string ends
    "mbpp of ReCode": {"MBPP/64", "MBPP/223", "MBPP/717", "MBPP/940"},  # a comment or a function at the margin
    "humaneval-x cpp": {"CPP/94"},  # the first lines of the tests stand in it
}
BROKEN = {  # references of ReCode's that don't compile, since the code's own indentation was lost
    "mbpp of ReCode": {"MBPP/64", "MBPP/966"}
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
        "MBPP/341": "the test wants a set in the order of an older Python",
        "MBPP/642": "the test wants sets in an order of their own",
        "MBPP/596": "the test wants the bytes that a tuple took in an older Python",
        "MBPP/601": "the tests need the class Pair, which became local",
        "MBPP/367": "the trees of the tests are missing",
        "MBPP/927": "the trees of the tests are missing",
        "MBPP/607": "the solution overwrites its arguments",
        "MBPP/631": "the solution overwrites its argument",
    },
    **{key: {"Mine/14": "it needs a network"} for key in ("bigcodebench", "bigcodebench instruct")},
}
BIGCODEBENCH = {"bigcodebench": "complete", "bigcodebench instruct": "instruct"}
SAMPLE = None if os.environ.get("RAYSWEEP_TEST_WHOLE_SETS") else 20
"""How many programs of each set run; with the variable set all do, which takes some minutes more."""
FEWER = {
    **dict.fromkeys(("humaneval-plus", "humaneval-plus, mini", "mbpp-plus", "minirepair"), 8),
    **dict.fromkeys(("humaneval-x java", "humaneval-java", "humaneval-x cpp", "quixbugs"), 4),
}
"""How many run of the sets whose programs take long."""

NAMES = [*(name for name in PROBLEMS.names() if name not in {case[0] for case in SHARED.values()}), *SHARED]
NAMES += [case for case in BIGCODEBENCH if case not in NAMES]
CASES = [pytest.param(name, marks=pytest.mark.slow if "-plus" in name else (), id=name) for name in NAMES]


@pytest.fixture(scope="module")
def executor():
    with Executor(2) as executor:
        yield executor


@pytest.fixture(scope="module", params=CASES)
def case(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def problem_set(case, tmp_path_factory) -> ProblemSet:
    """A problem set; its problems are read once for all tests of a case."""
    folder = tmp_path_factory.mktemp("problems")
    if case in SHARED:
        name, paths, args = SHARED[case]
        args = {**args, **{key: str(shared_data(*parts)) for key, parts in paths.items()}}
    else:
        name, args = case.partition(" ")[0], own_arguments(case, folder)
    try:
        built: Any = contract("problems", name, **args)
    except UsageError as error:
        pytest.skip(f"{case} can't be made here: {error}")
    problems = list(built.problems())
    built.problems = lambda: problems
    return built


def own_arguments(case: str, folder: Path) -> dict[str, Any]:
    (folder / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (folder / "faults.jsonl").write_text(json.dumps(FAULT) + "\n")
    if case in BIGCODEBENCH:
        return {"path": write_rows(folder / "tasks.jsonl"), "split": BIGCODEBENCH[case]}
    minicode = {"world": 3, "count": 20}
    return {
        "jsonl": {"path": str(folder / "problems.jsonl")},
        "minicode": minicode,
        "minirepair": minicode,
        "repair": {"path": str(folder / "faults.jsonl"), "context": "file"},
    }.get(case, {})


def test_prompts_and_references_are_sound(case, problem_set):
    """Ids are unique, segments join to the prompt, a reference compiles and is cut by no stop string."""
    problems = problem_set.problems()
    assert problems and len({problem.task_id for problem in problems}) == len(problems)
    for problem in problems:
        segments = problem_set.segments(problem)
        natural = [segment.text for segment in segments if segment.natural]
        assert "".join(segment.text for segment in segments) == problem.prompt, problem.task_id
        assert not any(sign in text for text in natural for sign in (">>>", "Test examples:", "assert "))
        assert problem_set.repair or (problem.stop and any(text.strip() for text in natural)), problem.task_id
        if problem.reference is None:
            continue
        assert problem.task_id in CUT.get(case, ()) or cut_at_stop(problem.reference, problem.stop)[1] is None
        if problem.language == "python" and not problem_set.repair and problem.task_id not in BROKEN.get(case, ()):
            whole = (problem.prompt if problem.begins_program else "") + problem.reference
            assert problem.entry_point in compile(whole, problem.task_id, "exec").co_names
            compile(problem.assemble(problem.reference).source, problem.task_id, "exec")


def test_references_pass_and_empty_completions_fail(case, problem_set, executor):
    failing, most = FAILING.get(case, {}), FEWER.get(case, SAMPLE) if SAMPLE else None
    problems = [problem for problem in problem_set.problems() if problem.language == "python"]
    every = max(1, len(problems) // most) if most else 1
    tried = [one for index, one in enumerate(problems) if index % every == 0 or one.task_id in failing]
    solved = [problem for problem in tried if problem.reference is not None]
    programs = [one.assemble(one.reference or "") for one in solved] + [one.assemble("") for one in tried]
    verdicts = executor.run(programs, problem_set.limits)
    for problem, verdict in zip(solved, verdicts, strict=False):
        has_passed = verdict.outcome == Outcome.PASSED
        assert has_passed is (problem.task_id not in failing), (problem.task_id, verdict)
        assert not has_passed or not problem_set.parts or verdict.parts == ",".join(problem_set.parts)
    for problem, verdict in zip(tried, verdicts[len(solved) :], strict=True):
        assert verdict.outcome not in (Outcome.PASSED, Outcome.HARNESS_ERROR), problem.task_id
    problem_set.check()
    if len(problems) == len(problem_set.problems()):
        problem_set.check(judged=True)


def test_numbers_that_choose_problems_are_in_the_fingerprint():
    one, other = (PROBLEMS.create(Spec("minicode", {"world": 3, "count": count})) for count in (20, 21))
    assert one.fingerprint() != other.fingerprint()


def test_every_set_but_a_users_file_says_its_licence_and_where_it_is_published():
    kinds = [PROBLEMS.get(name) for name in PROBLEMS.names()]
    built_in = [kind for kind in kinds if kind.__module__.startswith("raysweep.")]
    assert {kind.name for kind in built_in if not (kind.licence and kind.origin)} == {"jsonl", "repair"}
    assert all(re.fullmatch(r"([A-Za-z0-9.-]+( AND [A-Za-z0-9.-]+)*)?", kind.licence) for kind in built_in)
