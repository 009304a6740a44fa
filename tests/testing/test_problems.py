"""Each test of the suite for problem sets fails on a set that is broken in its way."""

from __future__ import annotations

import dataclasses
import itertools
from typing import ClassVar

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.problems.base import ProblemSet
from raysweep.records import Problem, Segment
from raysweep.testing.problems import ProblemSetContract
from tests.testing.bites import Broken, claims_of, message


class Sums(ProblemSet):
    """Functions that add a constant."""

    name = "humaneval"  # any that is registered
    changes: ClassVar[dict[str, str]] = {}

    def problems(self):
        return [
            dataclasses.replace(
                Problem(
                    task_id=f"Sums/{n}",
                    prompt=f'def add_{n}(x):\n    """Return the sum of x and the number {n}."""\n',
                    entry_point=f"add_{n}",
                    test=f"def check(candidate):\n    assert candidate(1) == {n + 1}\n",
                    reference=f"    return x + {n}\n",
                    stop=("\ndef",),
                ),
                **self.changes,
            )
            for n in range(3)
        ]

    def fingerprint(self):
        return {"version": 1}


def changed(**changes: str) -> type[Sums]:
    return type("Changed", (Sums,), {"changes": changes})


class Turning(Sums):
    turns = itertools.count()

    def problems(self):
        return super().problems()[:: (-1) ** next(self.turns)]


class Placed(Sums):
    def __init__(self, path: str) -> None:
        self.path = path

    def fingerprint(self):
        return {"path": self.path}


class Counted(Sums):
    def __init__(self, count: int = 2) -> None:
        self.count = count

    def problems(self):
        return super().problems()[: self.count]


class Scaled(Sums):
    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def problems(self):
        return [dataclasses.replace(one, prompt=f"{one.prompt}# {self.factor}\n") for one in super().problems()]


class Turned(Sums):
    def __init__(self, backwards: bool = True) -> None:
        self.backwards = backwards

    def problems(self):
        problems = super().problems()
        return problems[::-1] if self.backwards else problems


class Careful(Counted):
    """Takes an argument that no problem depends on, and one that has few values."""

    def __init__(self, count: int = 2, cached: int = 8, half: float = 0.5) -> None:
        super().__init__(count)
        if half != 0.5:
            raise UsageError(f"half is {half}")

    def fingerprint(self):
        return {"version": 1, "count": self.count}


class Lossy(Sums):
    def segments(self, problem: Problem) -> list[Segment]:
        return [Segment(problem.prompt.strip(), True)]


class Odd(Problem):
    """A problem whose program is cut off."""

    def assemble(self, completion):
        return dataclasses.replace(super().assemble(completion), text="def f(:")


class Cut(Sums):
    def problems(self):
        return [Odd(*dataclasses.astuple(problem)) for problem in super().problems()]


class Unchecked(Sums):
    def check(self, *, judged: bool = False) -> None:
        raise UsageError("no good")


class InParts(Sums):
    parts = ("base", "plus")


@dataclasses.dataclass
class Unhashable(Sums):
    """Equal to others with the same constant; such dataclasses have no hash."""

    more: int
    read: ClassVar[list[int]] = []  # the constants of the sets whose problems were read

    def problems(self):
        self.read.append(self.more)
        return [dataclasses.replace(one, task_id=f"{one.task_id}, {self.more}") for one in super().problems()]


BROKEN: Broken = {
    "test_it_has_problems_with_unique_task_ids": (changed(task_id="Sums/0"), "these come twice: Sums/0"),
    "test_its_problems_have_a_fixed_order": (Turning, "in the same order each time"),
    "test_its_fingerprint_is_json_without_a_path": (lambda: Placed(__file__), "a path doesn't belong in fingerprint"),
    "test_its_fingerprint_has_the_arguments_that_its_problems_depend_on": (
        Counted, "has all arguments that its problems or rows depend on; 'count' is missing: with 3 in place of 2",
    ),
    "test_another_process_gets_the_same_problems_and_the_same_fingerprint": (Sums, "gets the same problems"),
    "test_references_compile_after_their_prompts_and_define_the_entry_point": (
        changed(entry_point="sub"), "define the entry point 'sub'",
    ),
    "test_whole_programs_compile": (Cut, "the program of Sums/0 must compile"),
    "test_no_stop_string_cuts_a_reference": (changed(stop=("x",)), "the stop string 'x' stands in the reference"),
    "test_segments_join_to_the_prompt_and_hold_natural_language": (Lossy, "joined, are the prompt"),
    "test_references_pass_and_empty_completions_fail": (
        changed(reference="    return x\n"), "the reference solution of Sums/1 passes its tests; it ended with failed",
    ),
    "test_usable_data_passes_its_own_check": (Unchecked, "no good"),
}  # fmt: skip


@pytest.fixture(scope="module")
def executor():
    with Executor(1) as running:
        yield running


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_a_broken_set_fails(test, executor):
    make, words = BROKEN[test]
    assert words in message(ProblemSetContract, test, make, executor=executor)


def test_every_test_was_seen_to_fail():
    assert claims_of(ProblemSetContract) == set(BROKEN)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (changed(test="def check(candidate):\n    pass\n"), "an empty completion of Sums/0 fails its tests"),
        (InParts, "append each one's name to PARTS_PASSED"),
    ],
)
def test_tests_that_tell_nothing_or_too_little_fail(make, words, executor):
    test = "test_references_pass_and_empty_completions_fail"
    assert words in message(ProblemSetContract, test, make, executor=executor)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (Scaled, "'factor' is missing"),
        (Turned, "'backwards' is missing"),
        (lambda: Counted(count=1), "'count' is missing: with 2 in place of 1"),
        (lambda: Counted(count=3), "'count' is missing: with 2 in place of 3"),
        (Careful, ""),
    ],
)
def test_arguments_of_each_type_are_tried_and_only_those_that_problems_depend_on_must_be_named(make, words):
    found = message(ProblemSetContract, "test_its_fingerprint_has_the_arguments_that_its_problems_depend_on", make)
    assert words in found and bool(words) is bool(found)


def test_a_set_that_keeps_the_contract_passes(executor):
    passing = set(BROKEN) - {"test_another_process_gets_the_same_problems_and_the_same_fingerprint"}
    found = {test: message(ProblemSetContract, test, Sums, executor=executor) for test in passing}
    assert found == dict.fromkeys(passing, "")


def test_a_suite_reads_a_set_once_also_if_it_has_no_hash_and_make_returns_a_new_object_each_time(executor, monkeypatch):
    monkeypatch.setattr(Unhashable, "read", [])

    class Suite(ProblemSetContract):
        more = 1

        def make(self):
            return Unhashable(self.more)

    for _ in range(2):
        suite = Suite()  # pytest makes one for each test
        suite.test_it_has_problems_with_unique_task_ids()
        suite.test_segments_join_to_the_prompt_and_hold_natural_language()
        suite.test_references_pass_and_empty_completions_fail(executor)
        suite.test_usable_data_passes_its_own_check()
    assert Unhashable.read == [1]
    suite.more = 2
    assert suite.problems()[0].task_id == "Sums/0, 2" and Unhashable.read == [1, 2]
