"""Every registered problem set, held to the contract of problem sets, and what else raysweep's own promise."""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from raysweep.errors import UsageError
from raysweep.problems.base import PROBLEMS, ProblemSet
from raysweep.records import Spec
from raysweep.testing.problems import ProblemSetContract
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


@cache
def shared(case: str) -> ProblemSet:
    return PROBLEMS.create(spec_of(case))


def spec_of(case: str) -> Spec:
    name, paths, args = SHARED[case]
    return Spec(name, {**args, **{key: str(shared_data(*parts)) for key, parts in paths.items()}})


@pytest.mark.parametrize("name", CASES)
class TestProblemSets(ProblemSetContract):
    @pytest.fixture(autouse=True)
    def named(self, name: str, tmp_path: Path) -> None:
        file = tmp_path / "problems.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        self.name, args = name, {"jsonl": {"path": str(file)}, "minicode": {"world": 3, "count": 20}}
        args["minirepair"] = args["minicode"]
        own = tmp_path / "faults.jsonl"
        own.write_text(json.dumps(FAULT) + "\n")
        args["repair"] = {"path": str(own), "context": "file"}
        path = write_rows(tmp_path / "tasks.jsonl")
        args |= {case: {"path": path, "split": split} for case, split in BIGCODEBENCH.items()}
        self.args: dict[str, Any] = args.get(name, {})
        self.programs = FEWER.get(name, SAMPLE) if SAMPLE else None
        self.failing, self.broken, self.cut = FAILING.get(name, {}), BROKEN.get(name, ()), CUT.get(name, ())

    def make(self) -> ProblemSet:
        try:
            return shared(self.name) if self.name in SHARED else PROBLEMS.create(self.own_spec())
        except UsageError as error:
            pytest.skip(f"{self.name} can't be made here: {error}")

    def spec(self) -> Spec:
        return spec_of(self.name) if self.name in SHARED else super().spec()

    def own_spec(self) -> Spec:
        return Spec(self.name.partition(" ")[0], self.args)

    def test_every_problem_has_stop_strings(self):
        assert self.make().repair or all(problem.stop for problem in self.problems())

    def test_examples_are_never_natural(self):
        problems = self.make()
        for problem in self.problems():
            natural = [segment.text for segment in problems.segments(problem) if segment.natural]
            for sign in (">>>", "Test examples:", "assert "):
                assert not any(sign in text for text in natural), problem.task_id


def test_every_set_but_a_users_file_says_its_licence_and_where_it_is_published():
    kinds = [PROBLEMS.get(name) for name in PROBLEMS.names()]
    built_in = [kind for kind in kinds if kind.__module__.startswith("raysweep.")]
    assert {kind.name for kind in built_in if not (kind.licence and kind.origin)} == {"jsonl", "repair"}
    assert all(re.fullmatch(r"([A-Za-z0-9.-]+( AND [A-Za-z0-9.-]+)*)?", kind.licence) for kind in built_in)
