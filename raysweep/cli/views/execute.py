"""Prints the scores of `raysweep execute`: pass@k with its intervals, and how the programs were run."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from raysweep.cli.views.console import new_console, print_json, rate_text
from raysweep.execution.oracle import NO_BOUNDARY, with_reasons
from raysweep.metrics.passing import WHERE_SOLVABLE
from raysweep.programs import PYTHON, Lane, Oracle
from raysweep.prompts.answers.found import in_words
from raysweep.tools.samples.scores import SampleRate, SampleScores
from raysweep.units import count, share


def print_sample_scores(scores: SampleScores, as_json: bool) -> None:
    if as_json:
        print_json(scores_json(scores))
        return
    console = new_console()
    for line in score_lines(scores):
        console.print(line, soft_wrap=True)
    if scores.harness_errors:
        errors = f"no verdict (harness error): {count(scores.harness_errors, 'sample')}, not in pass@k; the first: "
        console.print(errors + scores.harness_error, style="red", soft_wrap=True)


def scores_json(scores: SampleScores) -> dict[str, Any]:
    """Return pass@k by name, with 95 % intervals, also of parts of the tests: ``pass@1 base``."""
    values = dataclasses.asdict(scores)
    values["repeated_share"] = scores.repeated_share
    rates = _rates(scores)
    values["pass_at_k"] = {name: rate.value for name, rate in rates.items()}
    values["interval_95"] = {name: {"low": rate.low, "high": rate.high} for name, rate in rates.items()}
    del values["parts"], values["where_references_pass"]
    return values


def score_lines(scores: SampleScores) -> list[str]:
    programs = count(scores.programs, "distinct program")
    repeated = share(scores.repeated, scores.samples)
    languages = "" if scores.languages in ((), (PYTHON,)) else f" in {' and '.join(scores.languages)}"
    lines = [
        f"{count(scores.samples, 'sample')} of {count(scores.tasks, 'task')}{languages}: {programs}; "
        f"{repeated} of the samples repeat another one and were not run again",
        f"outcomes: {_counts(scores.outcomes)}",
    ]
    if scores.found:
        lines.append(in_words(scores.found))
    if scores.advice:
        lines.append(scores.advice)
    if scores.kept:
        lines.append(f"{count(scores.kept, 'program')} had a verdict from the command that was interrupted")
    if scores.levels:
        levels = ", ".join(scores.levels) if len(scores.levels) == 1 else _counts(scores.levels)
        modes = _counts({Lane(name).mode: number for name, number in scores.lanes.items()})
        tests = _counts({Oracle(name).words: number for name, number in scores.oracles.items()})
        lines.append(f"isolation: {levels}; mode: {modes}; tests: {tests}")
        if scores.oracles.get(Oracle.INSIDE):
            lines.append(f"in-process tests run in the program's process, {NO_BOUNDARY}")
    if scores.audited:
        differences = f"{scores.audit_differences:,} of them differ" if scores.audit_differences else "none differs"
        lines.append(f"run again in isolated mode: {count(scores.audited, 'batched program')}, {differences}")
    near = ", stopped ones included: on another machine some might end otherwise" if scores.near_limit else ""
    lines.append(f"{share(scores.near_limit, scores.programs)} of the programs took half of the limit or more{near}")
    if scores.left_out:
        tasks = f"{len(scores.left_out):,} of {count(scores.tasks, 'task')}"
        lines.append(f"left out, not run: {tasks}: {with_reasons(scores.left_out, 5)}")
    if scores.failing_references:
        lines.append(f"reference solutions that fail: {with_reasons(scores.failing_references, 5)}")
    if scores.missing:
        shown = ", ".join(scores.missing[:5]) + (", ..." if len(scores.missing) > 5 else "")
        lines.append(f"no sample for {count(len(scores.missing), 'task')}, left out: {shown}")
    rates = _rates(scores).items()
    return lines + [f"{name}: {rate_text(rate.value, rate.low, rate.high, 4, 'tasks')}" for name, rate in rates]


def _rates(scores: SampleScores) -> dict[str, SampleRate]:
    rates = {}
    for k, rate in scores.pass_at_k.items():
        rates[f"pass@{k}"] = rate
        rates |= {f"pass@{k} {part}": by_k[k] for part, by_k in scores.parts.items()}
        rates |= {f"pass@{k} {WHERE_SOLVABLE}": of[k] for of in [scores.where_references_pass] if k in of}
    return rates


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in counts.items())
