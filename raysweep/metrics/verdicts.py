"""Counts the verdicts on a test set once, for all metrics that ask for them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

from raysweep.programs import Outcome, part_passed
from raysweep.records import Result

PassTable = Mapping[str, Mapping[int, bool]]
"""For each task id and completion number: whether that completion passed."""


class Tally(NamedTuple):
    """The number of verdicts on one problem's completions, and of harness errors, which are no verdicts."""

    n: int  # completions with a verdict
    c: int  # completions that passed
    harness_errors: int


class PairTally(NamedTuple):
    """Counts of one problem's completions that have a verdict on the clean and on the perturbed prompt."""

    n: int  # all of them
    clean: int  # pass on the clean prompt
    perturbed: int  # pass on the perturbed prompt, or in the worst case of several
    lost: int  # pass on the clean prompt only
    won: int  # pass on the perturbed prompt only


NO_VERDICTS = frozenset({Outcome.HARNESS_ERROR, Outcome.UNTESTED})
NO_PAIRS = PairTally(0, 0, 0, 0, 0)
ONE = {True: Tally(1, 1, 0), False: Tally(1, 0, 0)}
"""The counts of a problem with one verdict, by whether the completion passes."""
ONE_PAIR = {
    (True, True): PairTally(1, 1, 1, 0, 0),
    (True, False): PairTally(1, 1, 0, 1, 0),
    (False, True): PairTally(1, 0, 1, 0, 1),
    (False, False): PairTally(1, 0, 0, 0, 0),
}
"""The counts of a problem with one pair, by whether its completions pass: clean, perturbed."""


class Verdicts(tuple[Result, ...]):
    """The results of one model on one draw of a test set. Counts are made when first asked for, and kept."""

    kept: dict[Hashable, Any]
    """What others have computed from these results, by keys of their own."""
    _tallies: dict[str, dict[str, Tally]]
    _passes: dict[str, dict[int, bool]] | None
    _paired: tuple[Verdicts, dict[str, PairTally]] | None

    def __new__(cls, results: Iterable[Result]) -> Verdicts:
        verdicts = super().__new__(cls, results)
        verdicts.kept, verdicts._tallies, verdicts._passes, verdicts._paired = {}, {}, None, None
        return verdicts

    @classmethod
    def of(cls, results: Iterable[Result]) -> Verdicts:
        return results if isinstance(results, cls) else cls(results)

    def tallies(self, part: str = "") -> Mapping[str, Tally]:
        """Return counts by task id, in order of first appearance. `part`: of the tests to pass; empty: all of them."""
        if part not in self._tallies:
            self._tallies[part] = self._counted(part)
        return self._tallies[part]

    @cached_property
    def harness_errors(self) -> int:
        return sum(tally.harness_errors for tally in self.tallies().values())

    @property
    def passes(self) -> PassTable:
        """Return which completions passed, without those that ended in a harness error."""
        if self._passes is None:
            passes: dict[str, dict[int, bool]] = {}
            for result in self:
                completions = passes.setdefault(result.task_id, {})
                outcome = result.outcome
                if outcome == Outcome.PASSED or outcome not in NO_VERDICTS:
                    completions[result.sample] = outcome == Outcome.PASSED
            self._passes = passes
        return self._passes

    def paired_with(self, clean: Verdicts) -> Mapping[str, PairTally]:
        if self._paired is None or self._paired[0] is not clean:
            self._paired = clean, pair_tallies(clean.passes, self.passes)
        return self._paired[1]

    def _counted(self, part: str) -> dict[str, Tally]:
        counts: dict[str, Tally] = {}
        none = Tally(0, 0, 0)
        for result in self:
            if result.outcome == Outcome.UNTESTED:
                continue
            before = counts.get(result.task_id)
            if before is None and not part and result.outcome != Outcome.HARNESS_ERROR:
                counts[result.task_id] = ONE[result.outcome == Outcome.PASSED]
                continue
            n, c, errors = before or none
            if result.outcome == Outcome.HARNESS_ERROR:
                counts[result.task_id] = Tally(n, c, errors + 1)
            else:
                passed = part_passed(part, result.outcome, result.parts)
                counts[result.task_id] = Tally(n + 1, c + passed, errors)
        return counts


def pair_tallies(clean: PassTable, perturbed: PassTable) -> dict[str, PairTally]:
    """Count, for each problem, the completions that have a verdict in both tables."""
    counts = {}
    for task, before in clean.items():
        after = perturbed.get(task, {})
        if len(before) == 1:  # nearly all: one completion for each prompt
            [(number, passes)] = before.items()
            counts[task] = ONE_PAIR[passes, after[number]] if number in after else NO_PAIRS
            continue
        both = [(passes, after[number]) for number, passes in before.items() if number in after]
        lost, won = both.count((True, False)), both.count((False, True))
        passing = both.count((True, True))
        counts[task] = PairTally(len(both), passing + lost, passing + won, lost, won)
    return counts
