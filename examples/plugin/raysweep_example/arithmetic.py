"""Problem set `arithmetic`: functions that add a constant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raysweep.errors import UsageError
from raysweep.problems.base import ProblemSet
from raysweep.programs import Limits
from raysweep.records import Problem


class Arithmetic(ProblemSet):
    """Functions that add a constant, `count` of them.

    Args:
        count: how many problems there are.
    """

    limits = Limits(timeout=1.0)

    def __init__(self, count: int = 20) -> None:
        if count < 1:
            raise UsageError(f"arithmetic: count is {count}; it must be at least 1")
        self.count = count

    def problems(self) -> Sequence[Problem]:
        """Return the problems in order of their constants."""
        return [_problem(number) for number in range(1, self.count + 1)]

    def fingerprint(self) -> Mapping[str, Any]:
        """Return the version of the problems, and how many there are."""
        return {"version": 1, "count": self.count}


def _problem(number: int) -> Problem:
    return Problem(
        task_id=f"Arithmetic/{number}",
        prompt=f'def add_{number}(x):\n    """Return the sum of x and the number {number}."""\n',
        entry_point=f"add_{number}",
        test=f"def check(candidate):\n    assert candidate(0) == {number}\n    assert candidate(-3) == {number - 3}\n",
        reference=f"    total = x + {number}\n    return total\n",
        stop=("\ndef", "\nclass", "\nif"),
    )
