"""The last stage: results -> scores, tables, figure and report of a sweep, all in the sweep's folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import yaml

from raysweep.analysis.figures import effect_figure
from raysweep.analysis.layout import Failure, Order
from raysweep.analysis.report import PairSamples, Report, render_report
from raysweep.analysis.table import to_csv, to_markdown
from raysweep.analysis.tables import tables
from raysweep.config import SweepConfig
from raysweep.config_file import to_yaml
from raysweep.errors import UnknownName, UsageError
from raysweep.grid_rows import GridRow, Held
from raysweep.metrics.base import CellLabels
from raysweep.metrics.scores import scores_of
from raysweep.records import Completion, PromptRow, Result, Score
from raysweep.report_execution import execution_of
from raysweep.report_settings import Line, settings_of
from raysweep.storage.places import write_atomically
from raysweep.storage.store import Store
from raysweep.sweep_folder import SweepFolder
from raysweep.tables import UnreadableTable
from raysweep.terminal import count

if TYPE_CHECKING:
    from raysweep.plans import SweepPlan

R = TypeVar("R")

REPORT_VERSION = 3
"""Raise it when the same results should give another report."""


def analyse(folder: SweepFolder, plan: SweepPlan, errors: Mapping[str, str]) -> tuple[list[Score], Path]:
    """Score what has results and write the report, unless both are up to date; return scores and the report's path."""
    report, stamp_file = folder.path / "report.html", folder.path / "analysed.json"
    stamp = _stamp(folder, plan.config, errors)
    whole = all(path.is_file() for path in (report, stamp_file, folder.path / "scores.parquet"))
    if whole and stamp_file.read_text(errors="replace") == stamp:
        with suppress(UnreadableTable):
            return folder.scores(), report
    scores = score(folder)
    folder.write_scores(scores)
    write_report(folder, plan.config, scores, errors, folder.path)
    write_atomically(stamp_file, stamp)
    folder.publish()
    return scores, report


def score(folder: SweepFolder) -> list[Score]:
    """Return the scores of every cell with results; those that count prompts only where the test set is there too."""
    found: list[Score] = []
    for rows in _by_cell(folder.grid()).values():
        first = rows[0]
        labels = CellLabels(first.model, first.recipe, first.training_set, first.seed)
        ready = [row for row in rows if folder.store.has(row.results)]
        firsts = [row for row in ready if not row.test_draw]
        shown = [row for row in firsts if folder.store.has(row.test_set)]
        results = {(r.problem_set, r.perturbation): _read(folder.store, r.results, Result) for r in firsts}
        prompts = {(r.problem_set, r.perturbation): _read(folder.store, r.test_set, PromptRow) for r in shown}
        if results:
            found += scores_of(labels, results, prompts, more_draws=_later_draws(folder.store, rows, ready))
    return found


def _later_draws(
    store: Store, rows: Sequence[GridRow], ready: Sequence[GridRow]
) -> dict[tuple[str, str], list[list[Result]]]:
    """Return the results on later draws of the test sets of which all draws have results."""
    draws: dict[tuple[str, str], list[GridRow]] = {}
    for row in rows:
        draws.setdefault((row.problem_set, row.perturbation), []).append(row)
    return {
        name: [_read(store, row.results, Result) for row in of_set if row.test_draw]
        for name, of_set in draws.items()
        if all(row in ready for row in of_set)
    }


def write_report(
    folder: SweepFolder, config: SweepConfig, scores: Sequence[Score], errors: Mapping[str, str], target: Path
) -> None:
    """Write report.html, figure.svg and the tables as Markdown and CSV into `target`."""
    order, failures = order_of(config), _failures(folder, errors)
    text = render_report(
        Report(
            name=config.name,
            title=config.report.title or config.name,
            notice=config.report.notice,
            scores=scores,
            order=order,
            settings=[*settings_of(config), *_leakage(folder), *_execution(folder, config)],
            config_yaml=to_yaml(config),
            failures=failures,
            provenance=_provenance(folder),
            samples=[] if config.report.samples_per_pair == 0 else list(_samples(folder)),
        ),
        max_samples_per_pair=config.report.samples_per_pair,
    )
    out = target / "tables"
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(target / "report.html", text)
    write_atomically(target / "figure.svg", effect_figure(scores, order, failures))
    for table in tables(scores, order, failures):
        write_atomically(out / f"{table.name}.md", to_markdown(table) + "\n")
        write_atomically(out / f"{table.name}.csv", to_csv(table))


def export(folder: SweepFolder, format: str, out: Path | None) -> str:
    """Write a sweep's report again from its results; return what to print: the tables, or where the files lie.

    Args:
        folder: the sweep's.
        format: html (the report), md or csv (its tables).
        out: where to write; None: into the sweep's folder for html, onto stdout for tables.

    Raises:
        UsageError: an unknown format, or a folder that can't be written.
    """
    if format not in ("html", "md", "csv"):
        raise UnknownName("format", format, ("html", "md", "csv"))
    config = folder.config()
    scores, errors = score(folder), folder.errors()
    if out is not None:
        _require_folder(out)
    if format == "html":
        target = out or folder.path
        write_report(folder, config, scores, errors, target)
        if out is None:
            folder.publish()
        return str(target / "report.html") if out else f"{folder}/report.html"
    write = to_markdown if format == "md" else to_csv
    texts = {table.name: write(table) for table in tables(scores, order_of(config), _failures(folder, errors))}
    if out is None:
        return "\n\n".join(text if format == "md" else f"# {name}\n{text}" for name, text in texts.items())
    for name, text in texts.items():
        write_atomically(out / f"{name}.{format}", text + "\n")
    return str(out)


def order_of(config: SweepConfig) -> Order:
    """Return the config's order of models, training sets and test sets."""
    sets = [s.name for s in config.training.sets] if config.training else []
    return Order(
        tuple(model.name for model in config.models),
        ("base", *sets),
        tuple(problems.name for problems in config.evaluation.problems),
        tuple(config.evaluation.perturbations),
    )


def _samples(folder: SweepFolder) -> Iterator[PairSamples]:
    prompts = cache(lambda key: _read(folder.store, Held("test_set", key, ""), PromptRow))
    for row in folder.grid():
        if all(folder.store.has(artefact) for artefact in (row.test_set, row.completions, row.results)):
            yield PairSamples(
                row.model,
                row.training_set,
                row.seed,
                row.recipe,
                row.problem_set,
                row.test_name.removeprefix(f"{row.problem_set} "),
                prompts(row.test_set_key),
                _read(folder.store, row.completions, Completion),
                _read(folder.store, row.results, Result),
            )


def _leakage(folder: SweepFolder) -> list[Line]:
    """Return what the newest run that looked for leaks said."""
    told = [str(run["leakage"]) for run in folder.runs() if run.get("leakage")]
    return [("leakage", told[-1])] if told else []


def _execution(folder: SweepFolder, config: SweepConfig) -> list[Line]:
    distinct = {row.results_key: row.results for row in folder.grid()}
    return execution_of(config.execution, [folder.store.counts(results) for results in distinct.values()])


def _failures(folder: SweepFolder, errors: Mapping[str, str]) -> list[Failure]:
    cells = _by_cell(folder.grid())
    rows = {cell: found[0] for cell, found in cells.items() if cell in errors}
    return [Failure(r.model, r.recipe, r.training_set, r.seed, errors[cell]) for cell, r in rows.items()]


def _provenance(folder: SweepFolder) -> list[tuple[str, str]]:
    runs = folder.runs()
    if not runs:
        return []
    last = runs[-1]
    lines = [
        ("machine", f"{last['cpus']} CPUs, {last['machine']}, Python {last['python']}"),
        ("versions", ", ".join(f"{name} {number}" for name, number in last["versions"].items())),
        ("storage", "artefacts by key, see grid.parquet beside this file"),
    ]
    made = [run for run in runs if run["cells"]]
    total = sum(run["wall_seconds"] for run in made)
    lines.append(("wall time", f"{total / 60:.1f} min over {count(len(made), 'run')} ({last['engine']} engine)"))
    lines.append(("last run", str(last["started"])))
    return lines


def _stamp(folder: SweepFolder, config: SweepConfig, errors: Mapping[str, str]) -> str:
    has = folder.store.has
    ready = sorted((row.results_key, has(row.test_set)) for row in folder.grid() if has(row.results))
    content = [REPORT_VERSION, yaml.safe_load(to_yaml(config)), ready, dict(errors), len(folder.runs())]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _require_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path} can't be a folder ({error.strerror}); give another one with --out") from None
    if not os.access(path, os.W_OK):
        raise UsageError(f"{path} can't be written; give another folder with --out")


def _by_cell(rows: Sequence[GridRow]) -> dict[str, list[GridRow]]:
    cells: dict[str, list[GridRow]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    return cells


def _read(store: Store, artefact: Held, record: type[R]) -> list[R]:
    return store.rows(artefact, record)
