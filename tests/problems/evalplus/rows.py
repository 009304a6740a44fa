"""Rows of EvalPlus for tests: two small ones in the form of its own files, and rows in the form of the hub."""

from __future__ import annotations

import json
from typing import Any

HUMANEVALS = {
    "task_id": "HumanEval/2",
    "prompt": (
        "import math\n\n\ndef halve(x: float, items: list) -> float:\n"
        '    """Halve x.\n    >>> halve(1.0, [])\n    0.5\n    """\n'
    ),
    "entry_point": "halve",
    "canonical_solution": "    return math.fsum([x, 0.0]) / 2\n",
    "base_input": [[1.0, [1]], [3.0, []]],
    "plus_input": [[1e9, []], [5, [[1]]]],
    "atol": 0,
}
MBPPS = {
    "task_id": "Mbpp/2",
    "prompt": '"""\nWrite a function to find the shared elements.\nassert set(shared((1, 2),(2, 3))) == {2}\n"""\n',
    "entry_point": "shared",
    "canonical_solution": "\ndef shared(a, b):\n  return tuple(set(a) & set(b))\n",
    "base_input": [[[1, 2], [2, 3]]],
    "plus_input": [[[], []], [[1, 1, 4], [4, 1]]],
    "atol": 0,
}

_TESTS = """\
import numpy as np
from math import inf

def assertion(out, exp, atol):
    assert out == exp

{where}inputs = {inputs}
{indent}results = None
{indent}for i, (inp, exp) in enumerate(zip(inputs, results)):
{indent}    assertion({function}(*inp), exp, {tolerance})
"""


def hub_humaneval(row: dict[str, Any], inputs: list[Any]) -> dict[str, Any]:
    """Return a row of HumanEval+ as the hub has it, with these distinct inputs."""
    test = _TESTS.format(
        where="def check(candidate):\n    ", indent="    ", inputs=inputs, function="candidate", tolerance=row["atol"]
    )
    kept = ("task_id", "prompt", "canonical_solution", "entry_point")
    return {name: row[name] for name in kept} | {"test": test}


def hub_mbpp(row: dict[str, Any], inputs: list[Any], tests: list[str]) -> dict[str, Any]:
    """Return a row of MBPP+ as the hub has it, with these distinct inputs and MBPP's own tests."""
    text = row["prompt"].strip().strip('"').strip()
    return {
        "task_id": int(row["task_id"].partition("/")[2]),
        "code": row["canonical_solution"],
        "prompt": text[: text.index("\nassert")],
        "source_file": "example",
        "test_imports": [],
        "test_list": tests,
        "test": _TESTS.format(where="", indent="", inputs=inputs, function=row["entry_point"], tolerance=row["atol"]),
    }


def distinct(inputs: list[Any]) -> list[Any]:
    """Return the inputs without those whose text has come before, as EvalPlus does for the hub."""
    first: dict[str, Any] = {}
    for arguments in inputs:
        first.setdefault(str(arguments), arguments)
    return list(first.values())


def write(path: Any, *rows: dict[str, Any]) -> str:
    """Write rows as JSON lines and return the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)
