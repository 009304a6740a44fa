"""MiniCode's mutants: each fails its problem's tests, and its solution passes them."""

import ast

import pytest

from raysweep.errors import UsageError
from raysweep.execution.pool import Executor
from raysweep.problems.repair.minirepair import MiniRepair
from raysweep.programs import Outcome
from raysweep.prompts.repair.hunks import hunk_in
from raysweep.prompts.repair.problems import RepairProblem
from raysweep.training_sets.minicode import PARTS, MiniCodeRows
from raysweep.training_sets.repair import MiniRepairRows

pytestmark = pytest.mark.slow


def code_of(function: str) -> str:
    """Return a function's syntax without its docstring, its name and those of its arguments."""
    (tree,) = ast.parse(function).body
    assert isinstance(tree, ast.FunctionDef)
    tree.name, tree.body = "", tree.body[1:]
    names = {argument.arg: f"argument {number}" for number, argument in enumerate(tree.args.args)}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.arg = names[node.arg]
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return ast.dump(tree)


def test_solutions_pass_and_mutants_fail() -> None:
    problems = [one for one in MiniRepair(3, "validation", 12).problems() if isinstance(one, RepairProblem)]
    assert len(problems) >= 10
    programs = [one.assemble(one.reference or "") for one in problems]
    programs += [one.assemble(one.hunk.buggy) for one in problems]
    with Executor(1) as executor:
        outcomes = [verdict.outcome for verdict in executor.run(programs, MiniRepair.limits)]
    assert set(outcomes[: len(problems)]) == {Outcome.PASSED}
    assert not {Outcome.PASSED, Outcome.HARNESS_ERROR, Outcome.TIMEOUT} & set(outcomes[len(problems) :])


def test_no_training_row_has_a_problems_code_in_other_words() -> None:
    drawn = [*MiniRepair(42, "test", 60).problems(), *MiniRepair(42, "validation", 60).problems()]
    solutions = {code_of(one.hunk.patched(one.reference or "")) for one in drawn if isinstance(one, RepairProblem)}
    assert len(solutions) > 60
    for part in PARTS:
        rows = [(hunk_in(row.instruction)[0], row.output) for row in MiniRepairRows(42, 100, part).rows()]
        trained = {code_of(hunk.patched(fixed)) for hunk, fixed in rows}
        trained |= {code_of(row.instruction + row.output) for row in MiniCodeRows(42, 1200, part).rows()}
        assert len(trained) > 300 and not trained & solutions


def test_a_count_of_problems_is_one_of_held_out_ones() -> None:
    few, more = MiniRepair(42, count=10).problems(), MiniRepair(42, count=20).problems()
    assert 8 <= len(few) <= 10 and list(few) == list(more[: len(few)])
    for args, message in (({"split": "tset"}, "split 'tset'"), ({"context": "fle"}, "minirepair: context 'fle'")):
        with pytest.raises(UsageError, match=message):
            MiniRepair(3, **args)


def test_the_docstring_is_natural_and_the_hunk_is_not() -> None:
    problem_set = MiniRepair(3, count=3)
    for problem in problem_set.problems():
        docstring = problem.prompt.split('"""')[1]
        natural = [one.text for one in problem_set.segments(problem) if one.natural]
        assert natural and all(text in docstring for text in natural)
