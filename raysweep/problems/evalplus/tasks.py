"""Reads EvalPlus's tasks from rows of its own files, and from rows of the hub.

EvalPlus's own files (HumanEvalPlus.jsonl.gz, MbppPlus.jsonl.gz) hold the inputs as JSON, in two parts: `base_input`,
taken from the tests of HumanEval and MBPP, and `plus_input`. Rows of the hub hold tests instead, as code with one list
of the distinct inputs of both parts. The list is read from the code, which never runs; the base inputs come first, and
their number follows from the tests of HumanEval and MBPP. Source of the hub's form: ``tools/*/to_original_fmt.py`` in
https://github.com/evalplus/evalplus.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raysweep.errors import UsageError
from raysweep.problems.evalplus.mbpp_arguments import restored
from raysweep.rows.json_files import JsonRow

BASE_INPUTS = """
    7 4 3 6 3 3 3 4 5 4 5 3 3 4 3 3 5 5 4 5 5 5 3 3 5 8 3 3 3 2 4 12 99 7 1 2 8 3 100 10 9 5 3 9 12
    3 4 5 7 7 100 7 6 105 7 5 12 8 4 5 5 12 5 7 7 5 8 7 8 25 9 9 6 8 9 4 10 9 7 4 8 6 16 5 5 4 7 6 7
    8 6 6 10 5 9 7 10 8 7 5 5 6 8 12 4 5 4 8 8 5 7 7 9 3 12 5 7 7 13 12 11 7 5 4 16 8 13 8 8 10 10 7
    14 12 10 5 11 8 8 4 5 26 11 7 12 6 7 4 7 7 10 7 4 9 6 8 14 11 10 6 3 8 4 4
"""
"""How many distinct inputs HumanEval's own tests have, by the number of the task."""
MAX_NAMES = 1_000_000
"""Of Mbpp/255, inputs whose result holds more strings than this are left out."""


@dataclass(frozen=True)
class EvalPlusTask:
    """One task with its inputs. An input is the list of the arguments of one call."""

    place: str  # file and line, for messages
    task_id: str
    prompt: str
    entry_point: str
    reference: str  # what follows the prompt in a correct solution
    base: list[list[Any]]
    plus: list[list[Any]]
    tolerance: float  # absolute; 0 where results must be equal


def humaneval_task(row: JsonRow) -> EvalPlusTask:
    """Return the task in a row of HumanEval+; raise UsageError (file, line) for a missing or wrong field."""
    base, plus, tolerance = _parts(row, _humaneval_base_inputs)
    task_id, prompt, entry_point = row.text("task_id"), row.text("prompt"), row.text("entry_point")
    code = row.text("canonical_solution")
    return EvalPlusTask(row.place, task_id, prompt, entry_point, code, base, plus, tolerance)


def mbpp_task(row: JsonRow) -> EvalPlusTask:
    """Return the task in a row of MBPP+; raise UsageError (file, line) for a missing or wrong field.

    The hub's rows have neither EvalPlus's prompt nor an entry point. The prompt is made from the same text and test;
    the entry point is the last function of the code that the first test calls.
    """
    if "base_input" in row.fields:
        task_id, prompt, code = row.text("task_id"), row.text("prompt"), row.text("canonical_solution")
        entry_point = row.text("entry_point")
    else:
        tests, code = _test_list(row), row.text("code")
        task_id = f"Mbpp/{row.fields.get('task_id')}"
        prompt = f'"""\n{row.text("prompt").split(" https://")[0]}\n{tests[0]}\n"""\n'
        entry_point = _called_function(code, tests[0], row.place)
    base, plus, tolerance = _parts(row, lambda row: len(dict.fromkeys(_test_list(row))))
    if "base_input" in row.fields:
        base, plus = ([restored(task_id, arguments) for arguments in part] for part in (base, plus))
    if task_id == "Mbpp/255":  # combinations of n of the given names
        sizes = [math.comb(len(names) + n - 1, n) * n if n > 0 else 0 for names, n in plus]
        plus = [arguments for arguments, size in zip(plus, sizes, strict=True) if size <= MAX_NAMES]
    return EvalPlusTask(row.place, task_id, prompt, entry_point, code, base, plus, tolerance)


def _parts(row: JsonRow, base_inputs: Callable[[JsonRow], int]) -> tuple[list[list[Any]], list[list[Any]], float]:
    """Return base inputs, further inputs and tolerance of a row in either form."""
    if "base_input" in row.fields:
        return _inputs(row, "base_input"), _inputs(row, "plus_input"), _number(row, row.fields.get("atol"))
    inputs, tolerance = _inputs_in(row)
    count = base_inputs(row)
    return inputs[:count], inputs[count:], tolerance


def _inputs(row: JsonRow, name: str) -> list[list[Any]]:
    value = row.fields.get(name)
    if value == {}:  # how EvalPlus writes no inputs
        return []
    if not isinstance(value, list) or not all(isinstance(arguments, list) for arguments in value):
        raise UsageError(f"{row.place}: `{name}` must be a list of lists of arguments, not {value!r:.60}")
    return value


def _number(row: JsonRow, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise UsageError(f"{row.place}: `atol` must be a number from 0 on, not {value!r:.60}")
    return value


def _inputs_in(row: JsonRow) -> tuple[list[list[Any]], float]:
    """Return the inputs and the tolerance that the tests of a row of the hub hold. Runs nothing."""
    try:
        tree = ast.parse(row.text("test"))
        assignments = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
        lists = [node.value for node in assignments for name in node.targets if getattr(name, "id", "") == "inputs"]
        loops = [node for node in ast.walk(tree) if isinstance(node, ast.For)]
        constants = [node for part in loops[-1].body for node in ast.walk(part) if isinstance(node, ast.Constant)]
        numbers = [node.value for node in constants if isinstance(node.value, int | float)]
        inputs = ast.literal_eval(_WithInfinity().visit(lists[-1]))
        return [list(arguments) for arguments in inputs], _number(row, numbers[-1])
    except (SyntaxError, ValueError, TypeError, IndexError, RecursionError) as error:
        raise UsageError(f"{row.place}: `test` has no list `inputs` as EvalPlus writes it ({error})") from None


class _WithInfinity(ast.NodeTransformer):
    """Replaces the names `inf` and `nan`, as `repr` writes these floats, by their values."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Constant(float(node.id)) if node.id in ("inf", "nan") else node


def _humaneval_base_inputs(row: JsonRow) -> int:
    number = row.text("task_id").rpartition("/")[2]
    counts = BASE_INPUTS.split()
    if not number.isdecimal() or int(number) >= len(counts):
        raise UsageError(f"{row.place}: `task_id` must be HumanEval/0 to HumanEval/{len(counts) - 1}")
    return int(counts[int(number)])


def _test_list(row: JsonRow) -> list[str]:
    tests = row.fields.get("test_list")
    if not isinstance(tests, list) or not tests or not all(isinstance(test, str) for test in tests):
        raise UsageError(f"{row.place}: `test_list` must be a list of texts, not {tests!r:.60}")
    return tests


def _called_function(code: str, test: str, place: str) -> str:
    try:
        defined = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
        calls = [node.func for node in ast.walk(ast.parse(test.strip())) if isinstance(node, ast.Call)]
    except (SyntaxError, ValueError) as error:
        raise UsageError(f"{place}: `code` or `test_list` does not parse ({error})") from None
    called = {function.id for function in calls if isinstance(function, ast.Name)}
    names = [name for name in defined if name in called]
    if not names:
        raise UsageError(f"{place}: the first test calls no function that `code` defines")
    return names[-1]
