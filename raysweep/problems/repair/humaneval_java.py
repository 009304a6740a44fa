"""Problem set `humaneval-java`: solutions of HumanEval in Java with a fault each (Jiang et al. 2023).

People put the faults in. Its JUnit tests run without their limits of wall time. The solution of DO_ALGEBRA needs the
JavaScript engine that Java has lost in version 15.
Sources: https://github.com/ASSERT-KTH/human-eval-java and https://github.com/lin-tan/clm
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.execution.compiled.java.junit import junit_tests, without_wall_time
from raysweep.problems.base import PROBLEMS
from raysweep.problems.file_problems import full_path
from raysweep.problems.humaneval import HumanEval
from raysweep.problems.humaneval_x import HumanEvalX
from raysweep.problems.repair.base import FUNCTION, RepairSet, fault_in_class, positions_in, repair_problem
from raysweep.programs import JAVA, Limits
from raysweep.prompts.repair.hunks import hunk_at
from raysweep.records import Problem
from raysweep.rows.json_files import JsonRow, check_file, content_sha

_RENAMED = {
    "add_even_at_odd": 85,
    "digit_sum": 66,
    "factorial": 106,
    "get_closet_vowel": 118,
    "maximum_k": 120,
    "min_path": 129,
    "min_subarray_sum": 114,
    "solve_string": 161,
    "sort_array_binary": 116,
    "special_filter": 146,
    "sum_squared_nums": 133,
    "sum_squares": 142,
    "triangle_area_2": 71,
    "words_strings": 101,
}
"""Numbers in HumanEval of the problems that have another name there, or one that two of its problems have."""
_POSITION = re.compile(r"(\w+)\s+(\d+)-(\d+)")


@PROBLEMS.register("humaneval-java")
class HumanEvalJava(RepairSet):
    """HumanEval-Java, 163 faults.

    Args:
        path: a JSONL file with rows {name, java_buggy, java_correct, java_test}.
        positions: a file of lines ``NAME FIRST-END``, the published lines of each fault (END: the one behind the last);
            None: the lines in which the two versions differ.
        context: what models are shown: function, or file.

    Raises:
        UsageError: another context, or a file that doesn't exist.
    """

    language = JAVA
    limits = Limits(timeout=10.0)
    licence = "BSD-3-Clause"
    origin = "https://github.com/ASSERT-KTH/human-eval-java"

    def __init__(self, path: str, positions: str | None = None, context: str = FUNCTION) -> None:
        super().__init__(path, context)
        self._positions = full_path(positions) if positions else None
        if self._positions is not None:
            check_file(self._positions)

    @classmethod
    @override
    def recognises(cls, row: Mapping[str, Any]) -> bool:
        return {"java_buggy", "java_correct", "java_test"} <= set(row) and "python_buggy" not in row

    @cached_property
    def _published(self) -> Mapping[str, tuple[str, tuple[int, int]]]:
        """The places and the lines of hunks: the first, and the one behind the last."""
        if self._positions is None:
            return {}
        positions = positions_in(self._positions, _POSITION, "must be NAME FIRST-END, such as ADD 5-6")
        return {found[1]: (place, (int(found[2]), int(found[3]))) for place, found in positions}

    @override
    def problem(self, row: JsonRow) -> Problem:
        if HumanEvalX.recognises(row.fields):
            raise UsageError(
                f"{row.place}: this is a row of HumanEval-X, which the problem set humaneval-x reads; humaneval-java "
                "has faults to repair, in rows {name, java_buggy, java_correct, java_test}"
            )
        name, buggy = row.label("name"), row.text("java_buggy")
        test, (place, lines) = f"TEST_{name}", self._published.get(name, ("", None))
        if lines is not None:
            hunk_at(buggy, *lines, f"{place}, {name}")
        return repair_problem(
            f"HumanEval-Java/{name}",
            buggy,
            fault_in_class(buggy, row.text("java_correct"), f"{row.place}, {name}", lines),
            language=JAVA,
            test=junit_tests(f"humaneval.{test}", {f"{test}.java": without_wall_time(row.text("java_test"))}),
            context=self.context,
            entry_point=name.lower(),
        )

    @override
    def fingerprint(self) -> Mapping[str, Any]:
        positions = {"positions": content_sha(self._positions)} if self._positions else {}
        return {**super().fingerprint(), **positions}


def humaneval_number(name: str) -> str:
    """Return the number in HumanEval of a problem of HumanEval-Java, by its name in small letters; else the name."""
    return str(_RENAMED.get(name, _numbers().get(name, name)))


@cache
def _numbers() -> dict[str, int]:
    try:
        problems = HumanEval().problems()
    except UsageError:  # the package with HumanEval isn't installed, so that no set of its problems is evaluated
        return {}
    return {problem.entry_point.lower(): number for number, problem in reversed(list(enumerate(problems)))}
