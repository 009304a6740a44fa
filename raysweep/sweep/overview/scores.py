"""The scores of a sweep as tables of text, and what explains them: models that solve nothing, broken references."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from raysweep.analysis.tables.frame import ALL_SEEDS, Number
from raysweep.analysis.tables.order import Order, labelled
from raysweep.analysis.tables.outcomes import PairOutcomes, commonest_failure
from raysweep.analysis.tables.pooling import EDITED, have_several_seeds, is_transfer, over_pairs, scores_over_seeds
from raysweep.config.schema import SweepConfig
from raysweep.metrics.restoration import G_RIR
from raysweep.records import Result, Score
from raysweep.sweep.grid import GridRow
from raysweep.sweep.report.facts import pair_outcomes, reference_failures
from raysweep.sweep.report.names import order_of
from raysweep.sweep.run import SweepResult
from raysweep.units import count

SHOWN = re.compile(r"(pass@\d+( .+)?|RP_.+)$")
"""Metrics that have tables: pass@k of whole test sets or of parts of their tests, and its worst case over draws."""
Model = tuple[str, str, str, int]
"""Model, recipe, training set and seed of a cell; `ALL_SEEDS` for the mean over several."""
FEWER = "*"
"""Stands at a mean over fewer seeds than others of its row."""


@dataclass(frozen=True)
class ScoreTable:
    """pass@k of models (model, recipe, training set, seed) on test sets, as text: ``0.812 (0.07)``, or empty.

    Several seeds are one row: ``0.812±0.031 (0.07±0.02)``, means and the SD between seeds.

    `notes`: lines below the table, such as what its codes mean.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str, str, str], tuple[str, ...]], ...]
    notes: tuple[str, ...] = ()


def score_tables(scores: Sequence[Score], config: SweepConfig) -> list[ScoreTable]:
    """Return a table for each problem set and pass@k, plain or robust: models on test sets, in the config's order.

    Several seeds have one row, as in the report, unless the config has `report.each_seed`.
    """
    order = order_of(config)
    of_pairs = [one for one in scores if one.training_set in order.pairs and not is_transfer(one, order.pairs)]
    scores = over_pairs(scores, order.pairs)
    if have_several_seeds(scores) and not config.report.each_seed:
        scores = scores_over_seeds(scores, {})  # what seeds share concerns intervals, which aren't shown here
    models = sorted({_model(score) for score in scores}, key=lambda model: _place(model, order))
    tables = []
    for problems in order.problem_sets:
        by_pair = {(_model(s), s.perturbation, s.metric): s for s in scores if s.problem_set == problems}
        shown = {metric for _, _, metric in by_pair if SHOWN.match(metric)}
        for metric in sorted(shown, key=lambda name: (name.startswith("RP_"), name)):
            table = _score_table(problems, metric, models, by_pair, order)
            restored = _restored(of_pairs, problems, order) if metric == "pass@1" else []
            tables.append(dataclasses.replace(table, notes=(*table.notes, *restored)))
    if not tables:
        return []
    shown_words = {name: words for name, words in order.words.items() if name in order.perturbations}
    labels = dict.fromkeys(labelled(name, words) for words in (shown_words, order.training_words) for name in words)
    codes = [f"codes: {', '.join(labels)}"] if labels else []
    return [dataclasses.replace(tables[0], notes=(*tables[0].notes, *codes)), *tables[1:]]


def _score_table(
    problems: str, metric: str, models: Sequence[Model], scores: Mapping[Any, Score], order: Order
) -> ScoreTable:
    sizes = {score.n for (_, _, name), score in scores.items() if name == metric}
    title = f"{problems}: {metric}"
    title += f" on {count(next(iter(sizes)), 'problem')}" if len(sizes) == 1 else ""
    title += " (RD: share of clean pass@1 lost)" if metric == "pass@1" else ""
    title += " (robust: passes on all perturbation samples)" if metric.startswith("RP_") else ""
    rows = []
    for model in models:
        of_row = {(name, kind): score for (one, name, kind), score in scores.items() if one == model}
        cells = [_number(of_row, name, metric, with_size=len(sizes) > 1) for name in order.perturbations]
        if any(cells):
            seed = count(_seeds(of_row.values()), "seed") if model[3] == ALL_SEEDS else str(model[3])
            rows.append(((*model[:3], seed), tuple(cells)))
    several = order.draws_text and not metric.startswith("RP_")
    notes = [f"perturbed: means over {order.draws_text}"] if several else []
    if any("±" in cell for _, cells in rows for cell in cells):
        notes.append("several seeds: mean ± SD between them")
    if any(FEWER in cell for _, cells in rows for cell in cells):
        notes.append(f"{FEWER} mean over fewer seeds than its row has")
    if any(labels[2] == EDITED for labels, _ in rows):
        notes.append(f"{EDITED}: means over models, {order.left_out}, so on other problems than base")
    return ScoreTable(title, order.perturbations, tuple(rows), tuple(notes))


def _restored(scores: Sequence[Score], problems: str, order: Order) -> list[str]:
    shares: dict[tuple[str, str], list[float]] = {}
    for score in sorted(scores, key=lambda one: (order.models.index(one.model), order.place_of_recipe(one.recipe))):
        if (score.problem_set, score.metric) == (problems, G_RIR) and not math.isnan(score.value):
            shares.setdefault((score.model, score.recipe), []).append(score.value)
    means = [f"{model} {recipe} {100 * fmean(values):.1f} %" for (model, recipe), values in shares.items()]
    return [f"restored of what base loses, on the same problems (G-RIR): {', '.join(means)}"] if means else []


def zero_lines(result: SweepResult) -> list[str]:
    """Return a line on the models that solve no problem, and one for each set of which models solve none.

    It names the models, in the grid's order, and the outcome that most of their completions had.
    """
    rates: dict[Model, dict[str, list[float]]] = {}
    for score in result.scores:
        if score.metric == "pass@1" and not math.isnan(score.value):
            rates.setdefault(_model(score), {}).setdefault(score.problem_set, []).append(score.value)
    failing = {
        model: sets
        for model, by_set in rates.items()
        if (sets := [name for name, values in by_set.items() if not any(values)])
    }
    if not failing:
        return []
    rows = [row for row in result.folder.grid() if _model(row) in failing]
    cells = {_model(row): row.cell for row in rows}
    pairs = pair_outcomes(result.folder, rows)
    found: dict[str, dict[str, list[PairOutcomes]]] = {}  # by problem set, "" for all, and cell
    for model, cell in cells.items():
        outcomes = [pair for pair in pairs if _model(pair) == model]
        for name in [""] if len(failing[model]) == len(rates[model]) else failing[model]:
            found.setdefault(name, {})[cell] = [pair for pair in outcomes if name in ("", pair.problem_set)]
    return [line for name, by_cell in found.items() if (line := _zero_line(name, by_cell))]


def _zero_line(problems: str, outcomes: Mapping[str, Sequence[PairOutcomes]]) -> str:
    cells = [cell for cell, pairs in outcomes.items() if commonest_failure(pairs)]
    if not cells:
        return ""
    why = commonest_failure([pair for cell in cells for pair in outcomes[cell]])
    if len(cells) == 1:
        does = f"solves no problem of {problems}" if problems else "passes no test set"
        return f"{cells[0]} {does}: of its completions {why}"
    more = f" and {len(cells) - ZEROS_SHOWN:,} more" if len(cells) > ZEROS_SHOWN else ""
    does = f"solve no problem of {problems}" if problems else "pass no test set"
    listed = f"{', '.join(cells[:ZEROS_SHOWN])}{more}"
    return f"{count(len(cells), 'model')} {does} ({listed}): of their completions {why}"


ZEROS_SHOWN = 3
"""Models that solve nothing, which are listed."""
FAILURES_SHOWN = 10
"""Problems that their reference solution fails, which are listed for a set."""


def reference_lines(result: SweepResult) -> list[str]:
    """Return a line for each problem set with problems that their own reference solution fails, with the errors."""
    lines = []
    for problems, results in reference_failures(result.folder, result.config).items():
        listed = [f"{task_id} ({_failure(failed)})" for task_id, failed in results.items()]
        more = f" and {len(listed) - FAILURES_SHOWN:,} more" if len(listed) > FAILURES_SHOWN else ""
        failed = f"the reference solution of {count(len(listed), 'problem')} of {problems} fails"
        lines.append(f"{failed}: {', '.join(listed[:FAILURES_SHOWN])}{more}")
    return lines


def _failure(result: Result) -> str:
    outcome = result.outcome.replace("_", " ")
    return f"{outcome}: {result.detail:.80}" if result.detail else outcome


def _model(of: Score | GridRow | PairOutcomes) -> Model:
    return of.model, of.recipe, of.training_set, of.seed


def _place(model: Model, order: Order) -> tuple[int, int, int, int]:
    name, recipe, training_set, seed = model
    return (order.models.index(name), order.place_of_recipe(recipe), order.training_sets.index(training_set), seed)


def _number(scores: Mapping[tuple[str, str], Score], perturbation: str, metric: str, *, with_size: bool) -> str:
    score, degraded = scores.get((perturbation, metric)), scores.get((perturbation, "RD"))
    if score is None:
        return ""
    seeds = _seeds(scores.values())
    text = _mean(score, 3, seeds) or "undefined"
    if degraded is not None and metric == "pass@1":
        text += f" ({_mean(degraded, 2, seeds) or '–'})"
    return text + f" n={score.n}" * with_size


def _mean(score: Score, digits: int, seeds: int) -> str:
    if math.isnan(score.value):
        return ""
    text = f"{score.value:.{digits}f}"
    if not isinstance(score, Number):
        return text
    text += "" if math.isnan(score.sd) else f"±{score.sd:.{digits}f}"
    return text + FEWER * (score.seeds < seeds)


def _seeds(scores: Iterable[Score]) -> int:
    return max(score.seeds if isinstance(score, Number) else 1 for score in scores)
