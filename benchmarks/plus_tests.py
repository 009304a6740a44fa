"""Measures which share of near misses only EvalPlus's further tests catch: of HumanEval's and MBPP's references.

    python benchmarks/plus_tests.py DATA [--mutants 10] [--seed 0] [--slots 1]

DATA contains humanevalplus/HumanEvalPlus.jsonl.gz and mbppplus/MbppPlus.jsonl.gz (EvalPlus's releases). Each reference
is changed in one place, up to --mutants times, with the operators that also make rejected responses
(raysweep/problems/mutants.py), and judged with the base tests and the further ones (plus). Printed for each set: the
mutants that pass the base tests, and the share of these that the further tests catch, with a 95 % interval; by operator
too. Mutants that pass both may be equivalent to their reference: nobody has looked. Limits are those of
``execution.reference_factor: 4``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from raysweep.execution import execute
from raysweep.problems.evalplus.problem_sets import HumanEvalPlus, MbppPlus
from raysweep.problems.mutants import OPERATORS, drawn_mutations
from raysweep.programs import Limits, Outcome, Program, part_passed
from raysweep.stages.references import rounded_timeout
from raysweep.stats.intervals import share_interval

SETS: dict[str, tuple[type[HumanEvalPlus] | type[MbppPlus], str]] = {
    "humaneval-plus": (HumanEvalPlus, "humanevalplus/HumanEvalPlus.jsonl.gz"),
    "mbpp-plus": (MbppPlus, "mbppplus/MbppPlus.jsonl.gz"),
}
FACTOR = 4.0


@dataclass(frozen=True)
class Mutant:
    """A changed reference with its tests."""

    operator: str
    program: Program
    limits: Limits


def main() -> None:
    """Judge the mutants of both sets and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--mutants", type=int, default=10, help="at most so many of each reference")
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutants")
    parser.add_argument("--slots", type=int, default=1, help="programs that run at the same time")
    options = parser.parse_args()
    began = time.perf_counter()
    result = {name: measured(name, options) for name in SETS}
    print(json.dumps({**result, "seconds": round(time.perf_counter() - began)}, indent=1))


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the counts of a problem set."""
    kind, file = SETS[name]
    problems = list(kind(str(options.data / file)).problems())
    references = execute([problem.assemble(problem.reference) for problem in problems], kind.limits, options.slots)
    mutants, unchanged = [], 0
    for problem, verdict in zip(problems, references, strict=True):
        assert verdict.outcome == Outcome.PASSED, (problem.task_id, verdict)
        limits = dataclasses.replace(kind.limits, timeout=rounded_timeout(verdict.seconds, FACTOR, kind.limits.timeout))
        code = problem.prompt + problem.reference
        draw = random.Random(f"{options.seed}/{problem.task_id}")
        changes = list(islice(drawn_mutations(code, len(problem.prompt), draw), options.mutants))
        unchanged += not changes
        for change in changes:
            text = change.of(code)[len(problem.prompt) :]
            mutants.append(Mutant(change.operator, problem.assemble(text), limits))
    verdicts = execute([one.program for one in mutants], [one.limits for one in mutants], options.slots)
    passed = [(part_passed("base", v.outcome, v.parts), v.outcome == Outcome.PASSED) for v in verdicts]
    by_operator = {
        operator: _shares([p for one, p in zip(mutants, passed, strict=True) if one.operator == operator])
        for operator in OPERATORS
    }
    return {
        "problems": len(problems),
        "without a mutant": unchanged,
        **_shares(passed),
        "by operator": {operator: shares for operator, shares in by_operator.items() if shares["mutants"]},
    }


def _shares(passed: Sequence[tuple[bool, bool]]) -> dict[str, Any]:
    """Count mutants; `passed`: whether each passes the base tests, and all of them."""
    base, whole = (sum(each[part] for each in passed) for part in (0, 1))
    interval = share_interval(base - whole, base)
    return {
        "mutants": len(passed),
        "pass base": base,
        "of these caught by plus": base - whole,
        "share": round((base - whole) / base, 3) if base else None,
        "interval": [round(interval.low, 3), round(interval.high, 3)] if base else None,
    }


if __name__ == "__main__":
    main()
