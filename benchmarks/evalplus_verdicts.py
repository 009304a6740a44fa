"""Compares raysweep's verdicts on HumanEval+ and MBPP+ with those of EvalPlus's own `untrusted_check`, one by one.

    python benchmarks/evalplus_verdicts.py DATA [--every 4] [--mutants 4] [--seed 0] [--out FILE]

DATA contains humanevalplus/HumanEvalPlus.jsonl.gz and mbppplus/MbppPlus.jsonl.gz (EvalPlus's releases). EvalPlus must
be installed; benchmarks/peers.py says how. Every --every-th problem of HumanEval+, and every second of these of MBPP+,
has


    right    its reference solution
    mutant   up to --mutants changed ones, most of them wrong
    slow     the reference, 0.2 s slower in all
    once     the reference, 3 s slower on one of the further inputs
    endless  the reference, without an end on the last input
    heavy    the reference, 3 s slower in all, evenly (every eighth problem): EvalPlus's rule of time for each input
             lets it pass, raysweep's rule for all inputs doesn't

raysweep's limits are those of ``execution.reference_factor: 4``. EvalPlus's limits are wall time, so differences on a
busy machine may be EvalPlus's. The whole verdict and, unless a limit ended the program, the base part are compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mutants import mutants
from tasks import Task

SLOWER = """
import time
_original, _inside, _calls = {name}, [], []
def {name}(*arguments):
    if _inside:
        return _original(*arguments)
    _inside.append(1)
    _calls.append(1)
    try:
        {body}
        return _original(*arguments)
    finally:
        _inside.clear()
"""
SPIN = "end = time.perf_counter() + {seconds}\n        while time.perf_counter() < end: pass"
FACTOR = 4.0


@dataclass(frozen=True)
class Case:
    """A problem in both forms: raysweep's, and the arguments of EvalPlus's function for each part."""

    dataset: str
    problem: Any
    limits: Any
    base: list[Any]
    plus: list[Any]
    expected: dict[str, list[Any]]
    seconds: dict[str, list[float]]
    tolerance: float


@dataclass(frozen=True)
class Solution:
    """A program to judge: what follows the prompt's place in it is part of `text`."""

    kind: str
    case: Case
    text: str


def main() -> None:
    """Run the comparison and print one JSON object."""
    options = _options()
    began = time.perf_counter()
    cases = [case for name in ("humaneval", "mbpp") for case in _cases(name, options)]
    solutions = [one for number, case in enumerate(cases) for one in _solutions(case, number, options)]
    result = compare(solutions, options.slots) | {"problems": len(cases), "seconds": round(time.perf_counter() - began)}
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text + "\n")
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=4, help="choose every n-th problem, of MBPP+ every 2n-th")
    parser.add_argument("--mutants", type=int, default=4, help="at most so many of each problem")
    parser.add_argument("--slots", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="seed of the mutants")
    parser.add_argument("--out", type=Path, help="write the JSON to this file too")
    return parser.parse_args()


def _cases(dataset: str, options: argparse.Namespace) -> list[Case]:
    """Return the chosen problems of one set, with EvalPlus's expected outputs and raysweep's limits."""
    from evalplus.data.mbpp import mbpp_deserialize_inputs
    from evalplus.eval._special_oracle import MBPP_OUTPUT_NOT_NONE_TASKS
    from evalplus.gen.util import trusted_exec

    from raysweep.execution import execute
    from raysweep.problems.evalplus.problem_sets import HumanEvalPlus, MbppPlus
    from raysweep.stages.references import rounded_timeout

    files = {"humaneval": "humanevalplus/HumanEvalPlus.jsonl.gz", "mbpp": "mbppplus/MbppPlus.jsonl.gz"}
    kind, step = (HumanEvalPlus, options.every) if dataset == "humaneval" else (MbppPlus, 2 * options.every)
    problems = list(kind(str(options.data / files[dataset])).problems())[::step]
    verdicts = execute([problem.assemble(problem.reference) for problem in problems], kind.limits, options.slots)
    cases = []
    for problem, verdict in zip(problems, verdicts, strict=True):
        assert verdict.outcome == "passed", (problem.task_id, verdict)
        row = problem.fields
        inputs = {part: row[f"{part}_input"] for part in ("base", "plus")}
        if dataset == "mbpp":
            inputs = {part: mbpp_deserialize_inputs(problem.task_id, values) for part, values in inputs.items()}
        not_none = dataset == "mbpp" and problem.entry_point in MBPP_OUTPUT_NOT_NONE_TASKS
        code, expected, seconds = problem.prompt + problem.reference, {}, {}
        for part, values in inputs.items():
            expected[part], seconds[part] = trusted_exec(code, values, problem.entry_point, True, not_none)
        limits = dataclasses.replace(kind.limits, timeout=rounded_timeout(verdict.seconds, FACTOR, kind.limits.timeout))
        cases.append(Case(dataset, problem, limits, inputs["base"], inputs["plus"], expected, seconds, row["atol"]))
    return cases


def _solutions(case: Case, number: int, options: argparse.Namespace) -> list[Solution]:
    problem, base, calls = case.problem, len(case.base), len(case.base) + len(case.plus)
    text = problem.prompt + problem.reference
    task = Task(problem.task_id, text, "", problem.entry_point)

    def slower(body: str) -> str:
        return text + SLOWER.format(name=problem.entry_point, body=body)

    def once(body: str, at: int) -> str:
        lines = body.replace("\n        ", "\n            ")
        return slower(f"if _is_at(arguments):\n            {lines}") + _at(case, at)

    found = [Solution("right", case, text)]
    found += [Solution("mutant", case, mutant.text) for mutant in mutants(task, options.mutants, options.seed)]
    found.append(Solution("slow", case, slower(SPIN.format(seconds=0.2 / calls))))
    if case.plus:
        found.append(Solution("once", case, once(SPIN.format(seconds=3), min(1, len(case.plus) - 1))))
        if number % 2:
            found.append(Solution("endless", case, once("while True: pass", len(case.plus) - 1)))
    if number % 8 == 0 and calls >= 2 * base:
        found.append(Solution("heavy", case, slower(SPIN.format(seconds=3 / calls))))
    return found


def _at(case: Case, index: int) -> str:
    """Return code that defines `_is_at`: are these the arguments of this further input?"""
    return f"\ndef _is_at(arguments):\n    return repr(list(arguments)) == {repr(list(case.plus[index]))!r}\n"


def compare(solutions: Sequence[Solution], slots: int) -> dict[str, Any]:
    """Judge all solutions with both, and return the counts and each difference."""
    from raysweep.execution import execute
    from raysweep.programs import Program, part_passed

    programs = [Program(one.text, one.case.problem.test) for one in solutions]
    began = time.perf_counter()
    ours = execute(programs, [one.case.limits for one in solutions], slots)
    ours_seconds = time.perf_counter() - began
    counts: Counter[str] = Counter()
    differences: list[dict[str, Any]] = []
    began = time.perf_counter()
    for one, verdict in zip(solutions, ours, strict=True):
        theirs = {part: _evalplus(one, part) for part in ("base", "plus")}
        passed = {"base": theirs["base"] == "pass", "all": set(theirs.values()) == {"pass"}}
        mine = {
            "base": part_passed("base", verdict.outcome, verdict.parts),
            "all": verdict.outcome == "passed",
        }
        counts[f"{one.kind}: {'pass' if passed['all'] else 'pass base only' if passed['base'] else 'fail'}"] += 1
        unknown = verdict.outcome in ("timeout", "memory", "killed", "output_limit")
        differing = [name for name in mine if mine[name] != passed[name] and not (name == "base" and unknown)]
        if differing:
            facts = {"outcome": verdict.outcome, "detail": verdict.detail, "parts": verdict.parts}
            times = {"seconds": verdict.seconds, "limit": one.case.limits.timeout}
            who = {"program": f"{one.case.problem.task_id} {one.kind}", "differs in": differing}
            differences.append({**who, "raysweep": {**facts, **times}, "evalplus": theirs, "text": one.text[-400:]})
    return {
        "programs": len(solutions),
        "kinds": dict(Counter(one.kind for one in solutions)),
        "evalplus": dict(sorted(counts.items())),
        "raysweep": dict(Counter(str(verdict.outcome) for verdict in ours)),
        "raysweep seconds": round(ours_seconds),
        "evalplus seconds": round(time.perf_counter() - began),
        "differences": differences,
    }


def _evalplus(one: Solution, part: str) -> str:
    from evalplus.eval import untrusted_check

    case = one.case
    inputs = case.base if part == "base" else case.plus
    return untrusted_check(
        case.dataset,
        one.text,
        inputs,
        case.problem.entry_point,
        case.expected[part],
        case.tolerance,
        case.seconds[part],
        fast_check=True,
    )[0]


if __name__ == "__main__":
    main()
