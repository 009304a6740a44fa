"""MiniCode's mutants: each fails its problem's tests, and its solution passes them."""

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.problems.repair.minirepair import MiniRepair
from raysweep.programs import Outcome
from raysweep.prompts.repair.problems import RepairProblem


def test_solutions_pass_and_mutants_fail() -> None:
    problems = [one for one in MiniRepair(3, "validation", 12).problems() if isinstance(one, RepairProblem)]
    assert len(problems) >= 10
    programs = [one.assemble(one.reference or "") for one in problems]
    programs += [one.assemble(one.hunk.buggy) for one in problems]
    with Executor(1) as executor:
        outcomes = [verdict.outcome for verdict in executor.run(programs, MiniRepair.limits)]
    assert set(outcomes[: len(problems)]) == {Outcome.PASSED}
    assert not {Outcome.PASSED, Outcome.HARNESS_ERROR, Outcome.TIMEOUT} & set(outcomes[len(problems) :])


def test_the_docstring_is_natural_and_the_hunk_is_not() -> None:
    problem_set = MiniRepair(3, count=3)
    for problem in problem_set.problems():
        docstring = problem.prompt.split('"""')[1]
        natural = [one.text for one in problem_set.segments(problem) if one.natural]
        assert natural and all(text in docstring for text in natural)


def test_unknown_splits_and_contexts_are_refused() -> None:
    with pytest.raises(UsageError, match="split 'tset'"):
        MiniRepair(3, "tset")
    with pytest.raises(UsageError, match="minirepair: context 'fle'"):
        MiniRepair(3, context="fle")
