"""Prints the scores of a sweep, its training and test sets, and JSON."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from raysweep.analysis.tables.outcomes import commonest_failure
from raysweep.analysis.tables.score_book import Order, labelled
from raysweep.cli.views.console import new_console
from raysweep.cli.views.progress import Watcher
from raysweep.config.schema import SweepConfig
from raysweep.planning.models import prompt_lines
from raysweep.records import BASE, Score
from raysweep.sweep.data_sets import DataSets
from raysweep.sweep.report.facts import pair_outcomes, reference_failures
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.notes import limit_text
from raysweep.sweep.report.write import generation_facts
from raysweep.sweep.run import SweepResult
from raysweep.units import count

SHOWN = re.compile(r"(pass@\d+( .+)?|RP_.+)$")
"""Metrics that have tables: pass@k of whole test sets or of parts of their tests, and its worst case over draws."""
Model = tuple[str, str, str, int]
"""Model, recipe, training set and seed of a cell."""


@dataclass(frozen=True)
class ScoreTable:
    """pass@k of models (model, recipe, training set, seed) on test sets, as text: ``0.812 (0.07)``, or empty.

    `notes`: lines below the table, such as what its codes mean.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[tuple[str, str, str, str], tuple[str, ...]], ...]
    notes: tuple[str, ...] = ()


def watcher(quiet: bool) -> Watcher:
    """Return a watcher that shows progress on stderr."""
    return Watcher(new_console(stderr=True), quiet)


def print_result(result: SweepResult, as_json: bool) -> None:
    """Print a run's scores and errors, and the path of its report."""
    if as_json:
        rows = [dataclasses.asdict(score) for score in result.scores]
        errors = dict(result.errors)
        print_json({"sweep": result.folder.name, "report": str(result.report), "errors": errors, "scores": rows})
        return
    console = new_console()
    if limit := limit_text(result.config):
        console.print(f"limited run: {limit}", soft_wrap=True)
    for table in score_tables(result.scores, result.config):
        print_scores(table, console)
    for line in [*prompt_lines(result.config), *zero_lines(result), *reference_lines(result)]:
        console.print(line, soft_wrap=True)
    if leakage := result.folder.leakage():
        console.print(f"leakage: {leakage}", soft_wrap=True)
    for error, names in by_error(result.errors).items():
        console.print(f"failed: {', '.join(names)}: {error}", style="red", soft_wrap=True)
    for label, text in generation_facts(result.folder) if result.cells_run else ():
        console.print(f"{label}: {text}", soft_wrap=True)
    if not result.cells_run:
        console.print("nothing was missing in the store: no work was done")
    console.print(f"report: {result.report}", soft_wrap=True)


def print_data_sets(made: DataSets, as_json: bool) -> None:
    """Print the sets that exist, with their numbers of rows; JSON also has their folders."""
    rows = [dataclasses.asdict(one) | {"folder": made.store.folder(one.node)} for one in made.sets]
    if as_json:
        print_json(
            {"sets": [{k: v for k, v in row.items() if k != "node"} for row in rows], "errors": dict(made.errors)}
        )
        return
    console = new_console()
    table = Table(box=None, pad_edge=False)
    table.add_column("set")
    for name in ("rows", "perturbed", "unchanged", "not compiling"):
        table.add_column(name, justify="right")
    for one in made.sets:
        table.add_row(one.name, f"{one.rows:,}", f"{one.perturbed:,}", f"{one.unchanged:,}", f"{one.broken:,}")
    console.print(table)
    if made.leakage:
        console.print(f"leakage: {made.leakage}", soft_wrap=True)
    for name, error in made.errors.items():
        console.print(f"failed: {name}: {error}", style="red", soft_wrap=True)


def score_tables(scores: Sequence[Score], config: SweepConfig) -> list[ScoreTable]:
    """Return a table for each problem set and pass@k, plain or robust: models on test sets, in the config's order."""
    order = order_of(config)
    models = sorted({_model(score) for score in scores}, key=lambda model: _place(model, order))
    found = []
    for problems in order.problem_sets:
        own = {(_model(s), s.perturbation, s.metric): s for s in scores if s.problem_set == problems}
        shown = {metric for _, _, metric in own if SHOWN.match(metric)}
        for metric in sorted(shown, key=lambda name: (name.startswith("RP_"), name)):
            found.append(_score_table(problems, metric, models, own, order))
    return [dataclasses.replace(found[0], notes=(*found[0].notes, *_codes(order))), *found[1:]] if found else []


def _score_table(
    problems: str, metric: str, models: Sequence[Model], scores: Mapping[Any, Score], order: Order
) -> ScoreTable:
    """Return the table of one metric on one problem set, with the number of problems in its title if it is the same."""
    sizes = {score.n for (_, _, name), score in scores.items() if name == metric}
    title = f"{problems}: {metric}"
    title += f" on {count(next(iter(sizes)), 'problem')}" if len(sizes) == 1 else ""
    title += " (RD: share of clean pass@1 lost)" if metric == "pass@1" else ""
    title += " (robust: passes on all draws)" if metric.startswith("RP_") else ""
    rows = []
    for model in models:
        cells = [_number(scores, model, name, metric, len(sizes) > 1) for name in order.perturbations]
        if any(cells):
            rows.append(((model[0], model[1], model[2], str(model[3])), tuple(cells)))
    several = order.draws_text and not metric.startswith("RP_")
    notes = (f"perturbed: means over {order.draws_text}",) if several else ()
    return ScoreTable(title, order.perturbations, tuple(rows), notes)


def zero_lines(result: SweepResult) -> list[str]:
    """Return a line, in the grid's order, for each model that solves no problem: the outcome most completions had."""
    rates: dict[Model, list[float]] = {}
    for score in result.scores:
        if score.metric == "pass@1" and not math.isnan(score.value):
            rates.setdefault(_model(score), []).append(score.value)
    failing = {model for model, values in rates.items() if not any(values)}
    if not failing:
        return []
    rows = [row for row in result.folder.grid() if (row.model, row.recipe, row.training_set, row.seed) in failing]
    cells = {(row.model, row.recipe, row.training_set, row.seed): row.cell for row in rows}
    pairs, lines = pair_outcomes(result.folder, rows), []
    for model, cell in cells.items():
        own = [pair for pair in pairs if (pair.model, pair.recipe, pair.training_set, pair.seed) == model]
        if why := commonest_failure(own):
            lines.append(f"{cell} passes no test set: of its completions {why}")
    return lines


FAILURES_SHOWN = 10
"""Problems that their reference solution fails, which are listed for a set."""


def reference_lines(result: SweepResult) -> list[str]:
    """Return a line for each problem set with problems that their own reference solution fails, with the outcomes."""
    lines = []
    for problems, outcomes in reference_failures(result.folder, result.config).items():
        listed = [f"{task_id} ({outcome.replace('_', ' ')})" for task_id, outcome in outcomes.items()]
        more = f" and {len(listed) - FAILURES_SHOWN:,} more" if len(listed) > FAILURES_SHOWN else ""
        failed = f"the reference solution of {count(len(listed), 'problem')} of {problems} fails"
        lines.append(f"{failed}: {', '.join(listed[:FAILURES_SHOWN])}{more}")
    return lines


def _codes(order: Order) -> list[str]:
    """Return the line that says what the codes of test and training sets mean; none where there are no codes."""
    shown = {name: words for name, words in order.words.items() if name in order.perturbations}
    labels = dict.fromkeys(labelled(name, words) for words in (shown, order.training_words) for name in words)
    return [f"codes: {', '.join(labels)}"] if labels else []


def by_error(errors: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the failed cells and tasks by error, so that each error is shown once.

    A cell that didn't start names the task that failed, and that task's own line says why.
    """
    names: dict[str, list[str]] = {}
    for name, error in errors.items():
        text = error.removeprefix(f"{name}: ")
        head, failed, why = text.partition(" failed: ")
        if failed and errors.get(head.rpartition(" ")[2]) == why:
            text = f"{head} failed"
        names.setdefault(text, []).append(name)
    return names


def print_scores(table: ScoreTable, console: Console) -> None:
    """Print a table without cutting any number: RD beside pass@1 or below it, or all numbers one below another."""
    console.print(table.title, style="italic", soft_wrap=True)
    _print_numbers(table, console)
    for note in table.notes:
        console.print(note, style="dim", soft_wrap=True)


def _print_numbers(table: ScoreTable, console: Console) -> None:
    for between in (" ", "\n"):
        grid = _grid(table, between)
        unbounded = console.options.update(width=10_000)
        if Measurement.get(console, unbounded, grid).maximum <= console.width:
            console.print(grid)
            return
    for labels, cells in table.rows:
        console.print(" ".join(labels), soft_wrap=True)
        for name, cell in zip(table.columns, cells, strict=True):
            console.print(f"  {name} {cell}", soft_wrap=True)


def _model(score: Score) -> Model:
    return (score.model, score.recipe, score.training_set, score.seed)


def _place(model: Model, order: Order) -> tuple[int, str, int, int]:
    """Return a sort key: the config's order of models, then recipes, then the config's order of training sets."""
    name, recipe, training_set, seed = model
    base = training_set == BASE
    return (order.models.index(name), "" if base else recipe, order.training_sets.index(training_set), seed)


def _number(scores: Mapping[Any, Score], model: Model, perturbation: str, metric: str, with_size: bool) -> str:
    found = scores.get((model, perturbation, metric))
    if found is None:
        return ""
    degraded = scores.get((model, perturbation, "RD"))
    text = "undefined" if math.isnan(found.value) else f"{found.value:.3f}"
    own = (
        ""
        if degraded is None or metric != "pass@1"
        else f" ({'–' if math.isnan(degraded.value) else f'{degraded.value:.2f}'})"
    )
    return text + own + f" n={found.n}" * with_size


def _state(exists: bool) -> str:
    return "exists" if exists else "to train"


def print_json(value: Any) -> None:
    """Print a value as standard JSON, which has null in place of NaN."""
    print(json.dumps(_plain(value), indent=1, ensure_ascii=False, allow_nan=False))


def _grid(table: ScoreTable, between: str) -> Table:
    """Return the rich table; `between` separates pass@1 from RD."""
    labels = ("model", "recipe", "trained on", "seed")
    grid = Table(*labels, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for name in table.columns:
        grid.add_column(name, justify="right", no_wrap=True)
    for model, cells in table.rows:
        grid.add_row(*model, *(cell.replace(" ", between) for cell in cells))
    return grid


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
