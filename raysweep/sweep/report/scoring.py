"""Computes a sweep's numbers from its results: scores, verdicts by problem, differences to baselines."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from raysweep.analysis.comparisons.base import ProblemRates, TestSetName, rates_of
from raysweep.analysis.comparisons.estimate import SharedVariance, with_seeds_notes
from raysweep.analysis.comparisons.pairing import Baselines
from raysweep.analysis.exhibits.base import Exhibit
from raysweep.analysis.exhibits.edits import Edits
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.pooling import EDITED, Place, SeedGroups
from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.hashing import text_sha
from raysweep.metrics.base import METRICS, CellLabels
from raysweep.metrics.scores import problem_scores, scores_of
from raysweep.metrics.verdicts import Verdicts
from raysweep.problems.base import PROBLEMS
from raysweep.records import (
    BASE,
    CLEAN,
    REWRITTEN,
    Difference,
    ProblemScore,
    PromptRow,
    RatedTexts,
    Result,
    Score,
    Spec,
)
from raysweep.rows.rated_sheets import read_rated
from raysweep.stages.scoring import pass_rate
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow, edited_problems
from raysweep.sweep.report.edits import edit_scores, edits_of
from raysweep.sweep.report.facts import solvable_tasks
from raysweep.sweep.report.names import levels_of, order_of

log = logging.getLogger("raysweep")

WITH_K = ("pass_at_k", "robust", "repair")
"""Metrics that `evaluation.pass_at` tells their k."""
NO_PROBLEM = (
    "%s has no scores: its edit example and the manifest of its model are gone from the store, so it isn't known which "
    "problem the model was edited from, and that one must not count"
)


@dataclass(frozen=True)
class CellNumbers:
    """All numbers of one cell."""

    labels: CellLabels
    scores: list[Score]
    problems: list[ProblemScore]
    rates: Mapping[TestSetName, ProblemRates]
    differences: list[Difference]
    outcomes: Mapping[str, Mapping[str, int]]  # by the key of the results: how often each occurs
    of_edited: Mapping[TestSetName, float] = field(default_factory=dict)
    """pass@1 on the prompt that an edited model was edited from, and on its clean form; nothing else counts them."""


@dataclass(frozen=True)
class SweepNumbers:
    """The numbers of all cells of a sweep that have results."""

    scores: list[Score]
    differences: list[Difference]
    rates: Mapping[CellLabels, Mapping[TestSetName, ProblemRates]] = field(default_factory=dict)
    """Verdicts by problem of each cell: on clean prompts, the headline's and those that exhibits read; of base models
    and after clean fine-tuning on all. Where the config names no headline they are all there."""
    edits: Edits = field(default_factory=Edits)
    """Models that were edited from one edit example, and prompts that a model rewrote; `scores` has their numbers."""
    shared: Mapping[Place, SharedVariance] = field(default_factory=dict)
    """What the seeds of a model share; empty for one seed."""
    outcomes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """How often each outcome occurs, by the key of the results."""


def score(
    folder: SweepFolder,
    exhibits: Iterable[Exhibit] = (),
    keep: Callable[[Sequence[ProblemScore]], None] = lambda rows: None,
) -> SweepNumbers:
    """Return the numbers of a sweep.

    Metrics that read prompts need the test set in the store too.

    `exhibits`: the tables and figures that will be drawn; they say which verdicts by problem they read. `keep`: takes
    each cell's verdicts by problem; they are many, so they aren't returned.
    """
    config = folder.config()
    order = order_of(config)
    headline = next(filter(None, (order.headline, *order.mixes)), "")
    names = ScoreFrame.of([], order)
    baselines = Baselines(order.clean_of)
    read = {pair for exhibit in exhibits for pair in exhibit.reads(names)}
    scores: list[Score] = []
    differences: list[Difference] = []
    rates: dict[CellLabels, Mapping[TestSetName, ProblemRates]] = {}
    own: dict[CellLabels, Mapping[TestSetName, float]] = {}
    outcomes: dict[str, Mapping[str, int]] = {}
    seeds, several = SeedGroups(), len(config.seeds or ()) > 1
    for cell in cell_numbers(folder):
        scores += cell.scores
        differences += cell.differences
        keep(cell.problems)
        trained = cell.labels.training_set
        everything = not headline or baselines.has(trained) or trained in (*order.pairs, *order.ways)
        rates[cell.labels] = {
            (problems, test): of_test
            for (problems, test), of_test in cell.rates.items()
            if everything or test in (CLEAN, headline) or (trained, test) in read
        }
        outcomes |= cell.outcomes
        own[cell.labels] = cell.of_edited
        if several and trained != BASE:
            of_baselines = {label: of for label, of in rates.items() if baselines.has(label.training_set)}
            seeds.add(cell.labels, cell.rates, of_baselines)
    edits = Edits()
    if {EDITED, REWRITTEN} & set(order.training_sets):
        edits = edits_of(folder, config, rates, own)
        scores += edit_scores(edits)
    noted = with_seeds_notes(differences) if several else differences
    return SweepNumbers(scores, noted, rates, edits, seeds.shared, outcomes)


def cell_numbers(folder: SweepFolder) -> Iterator[CellNumbers]:
    """Yield the numbers of each cell with results, those of baselines first.

    An edited model of which nothing says which problem it was edited from has none.
    """
    config, store = folder.config(), folder.store
    baselines = Baselines(order_of(config).clean_of)
    parts, rated, levels, metrics = parts_of(config), rated_texts(config), levels_of(config), metric_specs(config)
    solvable = solvable_tasks(folder, config)
    read_prompts = cache(lambda test_set: store.rows(test_set, PromptRow))  # cells share test sets
    for rows in _in_order(by_cell(folder.grid()).values(), baselines):
        cell = rows[0].labels
        judged = [row for row in rows if store.has(row.results)]
        first = {(row.problem_set, row.perturbation): row for row in judged if not row.test_draw}
        if not first:
            continue
        edited = edited_problems(rows[0], store)
        if rows[0].prompt_pair and not edited:
            log.warning(NO_PROBLEM, rows[0].cell)
            continue
        read = {name: store.rows(row.results, Result) for name, row in first.items()}
        results = {name: _verdicts(of_row, edited) for name, of_row in read.items()}
        prompts = {
            name: _without(read_prompts(row.test_set), edited) for name, row in first.items() if store.has(row.test_set)
        }
        later = _later_draws(rows, judged)
        more_draws = {
            name: [_verdicts(store.rows(row.results, Result), edited) for row in draws] for name, draws in later.items()
        }
        more_prompts = {
            name: [_without(read_prompts(row.test_set), edited) for row in draws]
            for name, draws in later.items()
            if all(store.has(row.test_set) for row in draws)
        }
        scores = scores_of(
            cell,
            results,
            prompts,
            metrics,
            more_draws=more_draws,
            more_prompts=more_prompts,
            parts=parts,
            rated=rated,
            levels=levels,
            solvable=solvable,
        )
        all_draws = {name: [rows, *more_draws.get(name, ())] for name, rows in results.items()}
        problems = list(problem_scores(cell, all_draws))
        rates, outcomes = rates_of(problems), _outcomes(first, later, all_draws)
        of_edited = {name: pass_rate(of_row, edited) for name, of_row in read.items() if edited}
        yield CellNumbers(cell, scores, problems, rates, baselines.differences(cell, rates), outcomes, of_edited)


def _outcomes(
    first: Mapping[TestSetName, GridRow],
    later: Mapping[TestSetName, Sequence[GridRow]],
    draws: Mapping[TestSetName, Sequence[Verdicts]],
) -> dict[str, Mapping[str, int]]:
    return {
        row.results_key: Counter(result.outcome for result in of_row)
        for name, rows in draws.items()
        for row, of_row in zip([first[name], *later.get(name, ())], rows, strict=True)
    }


def _in_order(cells: Iterable[list[GridRow]], baselines: Baselines) -> list[list[GridRow]]:
    """Return the rows of each cell, baselines before what is compared with them, and a model's seeds one by one."""
    first: dict[tuple[str, str, str], int] = {}
    places = []
    for number, rows in enumerate(cells):
        group = (rows[0].model, rows[0].recipe, rows[0].training_set)
        places.append((baselines.place_of(rows[0].training_set), first.setdefault(group, number), number, rows))
    return [rows for *_, rows in sorted(places, key=lambda place: place[:3])]


def metric_specs(config: SweepConfig) -> list[Spec]:
    ks = config.evaluation.ks
    return [Spec(name, {"k": ks} if ks and name in WITH_K else {}) for name in METRICS.names()]


def _verdicts(results: Sequence[Result], edited: Sequence[str]) -> Verdicts:
    return Verdicts.of([result for result in results if result.task_id not in edited] if edited else results)


def _without(prompts: Sequence[PromptRow], edited: Sequence[str]) -> Sequence[PromptRow]:
    return [prompt for prompt in prompts if prompt.task_id not in edited] if edited else prompts


def rated_texts(config: SweepConfig) -> RatedTexts | None:
    """Return the prompts that raters judged; None if the config names no sheet, or it is gone since the run."""
    if config.evaluation.audit is None:
        return None
    try:
        return read_rated(Path(config.evaluation.audit).expanduser())
    except UsageError as error:
        log.warning("RD over valid prompts is left out: %s", error)
        return None


def rated_digest(config: SweepConfig) -> str:
    rated = sorted((*key, valid) for key, valid in (rated_texts(config) or {}).items())
    return text_sha(json.dumps(rated)) if rated else ""


def by_cell(rows: Sequence[GridRow]) -> dict[str, list[GridRow]]:
    cells: dict[str, list[GridRow]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    return cells


def parts_of(config: SweepConfig) -> dict[str, tuple[str, ...]]:
    """Return the parts that the tests of each problem set report, by the set's name in results; "" is no set's."""
    known = set(PROBLEMS.names())
    return {
        problems.label: PROBLEMS.get(problems.name).parts
        for problems in config.evaluation.problems
        if problems.name in known
    }


def _later_draws(rows: Sequence[GridRow], judged: Sequence[GridRow]) -> dict[tuple[str, str], list[GridRow]]:
    """Return the pairs of the second and later draws of each test set, if all its draws have results."""
    draws: dict[tuple[str, str], list[GridRow]] = {}
    for row in rows:
        draws.setdefault((row.problem_set, row.perturbation), []).append(row)
    return {
        name: [row for row in set_rows if row.test_draw]
        for name, set_rows in draws.items()
        if all(row in judged for row in set_rows)
    }
