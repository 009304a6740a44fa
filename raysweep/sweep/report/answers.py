"""Reads what the models of a sweep answered, for the tables that show more than scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from itertools import chain

from typing_extensions import override

from raysweep.analysis.comparisons.base import TestSetName
from raysweep.analysis.comparisons.sums import PartRates
from raysweep.analysis.exhibits.answers import Answer, Answers, PatchRates
from raysweep.errors import RaysweepError
from raysweep.metrics.base import CellLabels
from raysweep.metrics.passing import task_rates
from raysweep.metrics.repair import patch_rates
from raysweep.metrics.verdicts import Verdicts
from raysweep.records import Completion, PromptRow, Result
from raysweep.rows.parquet import ROWS, read_rows_of
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.report.scoring import parts_of
from raysweep.tools.samples.format import passed_or_none

Place = tuple[CellLabels, TestSetName]


class SweepAnswers(Answers):
    """The answers of a sweep's models, read from its store as they are asked for."""

    def __init__(self, folder: SweepFolder) -> None:
        self._folder, self._store = folder, folder.store
        self._problems = cache(self._read_references)
        self._patches = cache(self._read_patches)

    @override
    def of(self, cell: CellLabels, test_set: TestSetName) -> Sequence[Answer]:
        pair = self._first(cell, test_set)
        if pair is None:
            return ()
        return _answers(self._store.rows(pair.results, Result), self._store.rows(pair.completions, Completion))

    @override
    def of_task(self, cell: CellLabels, test_set: TestSetName, task_id: str) -> Sequence[Answer]:
        """The records of other tasks are not made."""
        pair = self._first(cell, test_set)
        if pair is None:
            return ()
        results, completions = (self._store.use(artefact) / ROWS for artefact in (pair.results, pair.completions))
        return _answers(
            read_rows_of(results, Result, "task_id", [task_id]),
            read_rows_of(completions, Completion, "task_id", [task_id]),
        )

    def _first(self, cell: CellLabels, test_set: TestSetName) -> GridRow | None:
        pair = next(iter(self._pairs.get((cell, test_set), ())), None)
        is_there = pair is not None and self._store.has(pair.completions) and self._store.has(pair.results)
        return pair if is_there else None

    @override
    def rates(self, cell: CellLabels, test_set: TestSetName) -> PartRates:
        draws = [Verdicts.of(results) for results in self._results(cell, test_set)]
        parts = (*self._parts.get(test_set[0], ())[:-1], "")
        return {part: _mean_rates(draws, part) for part in parts} if draws else {}

    @override
    def patches(self, cell: CellLabels, test_set: TestSetName) -> PatchRates:
        """They are kept, since several tables read them."""
        return self._patches(cell, test_set)

    def _read_patches(self, cell: CellLabels, test_set: TestSetName) -> PatchRates:
        draws = self._results(cell, test_set)
        return patch_rates(draws) if draws else {}

    def _results(self, cell: CellLabels, test_set: TestSetName) -> list[list[Result]]:
        """Return the results of each draw of a test set; none where one of them is missing."""
        pairs = self._pairs.get((cell, test_set), ())
        is_whole = all(self._store.has(pair.results) for pair in pairs)
        return [self._store.rows(pair.results, Result) for pair in pairs] if is_whole else []

    @override
    def prompts(self, test_set: TestSetName) -> Mapping[str, str]:
        pairs = (pairs[0] for (_, name), pairs in self._pairs.items() if name == test_set)
        artefact = next((pair.test_set for pair in pairs if self._store.has(pair.test_set)), None)
        return {row.task_id: row.prompt for row in self._store.rows(artefact, PromptRow)} if artefact else {}

    @override
    def references(self, problem_set: str) -> Mapping[str, str]:
        return self._problems(problem_set)

    @cached_property
    def _parts(self) -> Mapping[str, Sequence[str]]:
        return parts_of(self._folder.config())

    @cached_property
    def _pairs(self) -> Mapping[Place, Sequence[GridRow]]:
        pairs: dict[Place, list[GridRow]] = {}
        for row in sorted(self._folder.grid(), key=lambda row: row.test_draw):
            pairs.setdefault((row.labels, (row.problem_set, row.perturbation)), []).append(row)
        return pairs

    def _read_references(self, problem_set: str) -> Mapping[str, str]:
        config = self._folder.config()
        spec = next((spec for spec in config.evaluation.problems if spec.label == problem_set), None)
        try:
            problems = config.problem_set(spec).problems() if spec is not None else ()
        except RaysweepError:  # its file is gone since the run
            return {}
        return {problem.task_id: problem.reference for problem in problems if problem.reference is not None}


def _answers(results: Sequence[Result], completions: Sequence[Completion]) -> list[Answer]:
    verdicts = {(row.task_id, row.sample): row for row in results}
    texts = {(row.task_id, row.sample): row.text for row in completions}
    return [
        Answer(
            *key,
            text=verdict.program or texts[key],
            passed=passed_or_none(verdict.outcome),
            outcome=verdict.outcome,
            is_program=bool(verdict.program),
        )
        for key, verdict in verdicts.items()
        if key in texts
    ]


def _mean_rates(draws: Sequence[Verdicts], part: str) -> Mapping[str, float]:
    """Return pass@1 by task id, the mean over the draws on which a task has a verdict."""
    rates = [task_rates(verdicts.tallies(part), 1) for verdicts in draws]
    tasks = dict.fromkeys(chain.from_iterable(rates))
    shares = {task: [of_draw[task] for of_draw in rates if task in of_draw] for task in tasks}
    return {task: sum(values) / len(values) for task, values in shares.items()}
