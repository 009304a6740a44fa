"""Sums up an attack: pass@1 clean and under each strategy, failures, queries, the smallest changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from raysweep.tools.attack.queries import AttackOutcome, AttackResult
from raysweep.tools.attack.run import AttackJob, Share, failures_under, rate_of_one_draw, rate_under
from raysweep.tools.attack.search import RANDOM


@dataclass(frozen=True)
class AttackSummary:
    """The results of an attack. Mappings are by strategy: the job's search, and random changes.

    `ratio`: failures that the search found for each that random changes found; None where these found none.
    """

    problems: int
    clean: Share
    one_draw: Share  # one random perturbation of each prompt
    rates: Mapping[str, Share]  # under the whole budget
    failures: Mapping[str, int]
    ratio: float | None
    queries: Mapping[str, int]
    first_failures: Mapping[str, float]  # median number of queries up to a failure; without strategies that found none
    smallest: tuple[AttackResult, ...]  # successes of the search, smallest change first


def summary_of(job: AttackJob, rows: Sequence[AttackResult]) -> AttackSummary:
    budget = job.limits.budget
    by_strategy = {name: [row for row in rows if row.strategy == name] for name in (job.search, RANDOM)}
    failures = {name: failures_under(results, budget) for name, results in by_strategy.items()}
    firsts = {name: [row.found_after for row in results if row.found_after] for name, results in by_strategy.items()}
    successes = [row for row in by_strategy[job.search] if row.outcome == AttackOutcome.SUCCEEDED]
    return AttackSummary(
        len(by_strategy[RANDOM]),
        rate_under(by_strategy[RANDOM], 0),
        rate_of_one_draw(by_strategy[RANDOM], budget),
        {name: rate_under(results, budget) for name, results in by_strategy.items()},
        failures,
        failures[job.search] / failures[RANDOM] if failures[RANDOM] else None,
        {name: sum(row.queries for row in results) for name, results in by_strategy.items()},
        {name: median(queries) for name, queries in firsts.items() if queries},
        tuple(sorted(successes, key=lambda row: (row.words, row.character_share))),
    )
