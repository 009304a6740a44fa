"""Computes a sweep's scores from its results, and writes its tables, figure and report into the sweep's folder."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from raysweep.analysis.comparisons.base import COMPARISONS
from raysweep.analysis.exhibits.base import Drawn, Evidence, Exhibit
from raysweep.analysis.exhibits.catalogue import chosen, draw, read_exhibits
from raysweep.analysis.figures import look
from raysweep.analysis.figures.effects import all_panels
from raysweep.analysis.figures.effects import draw as draw_effects
from raysweep.analysis.page.report import Report, render_report
from raysweep.analysis.page.sample_viewer import PairSamples
from raysweep.analysis.sections.failures import failure_table
from raysweep.analysis.tables.costs import Cost, cost_table
from raysweep.analysis.tables.difference_tables import difference_tables
from raysweep.analysis.tables.outcomes import PairOutcomes, outcome_tables
from raysweep.analysis.tables.quality_tables import quality_tables
from raysweep.analysis.tables.score_book import Failure, ScoreBook
from raysweep.analysis.tables.table import FORMATS, Table, by_file_name, to_csv, to_markdown, to_text, written
from raysweep.analysis.tables.trainings import training_table
from raysweep.config.loading import to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.errors import UnknownName, UsageError
from raysweep.metrics.base import METRICS
from raysweep.metrics.scores import METRIC_FAILED
from raysweep.quality.reports import LintedStratum
from raysweep.records import Completion, PromptRow, Result, Score
from raysweep.rows.parquet import UnreadableTable
from raysweep.storage.backends import write_atomically
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridArtefact
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.report.facts import costs, judged_inside, pair_outcomes, sweep_signature, trainings
from raysweep.sweep.report.names import order_of
from raysweep.sweep.report.notes import (
    Line,
    execution_lines,
    generation_lines,
    inside_lines,
    limit_text,
    settings_lines,
)
from raysweep.sweep.report.quality import cell_reports, linted_files, linted_messages, linted_strata
from raysweep.sweep.report.scoring import SweepNumbers, by_cell, rated_digest, score
from raysweep.units import count

if TYPE_CHECKING:
    from raysweep.planning.plan import SweepPlan

log = logging.getLogger("raysweep")

REPORT_VERSION = 16
"""Increase it when the same results should give another report."""
EFFECTS = "figure"
"""The name of the figure that no file defines, of clean and perturbed pass@1."""
FIGURES = "figures"
"""The folder of the figures that files define, in a sweep's folder."""


def analyse(folder: SweepFolder, plan: SweepPlan, errors: Mapping[str, str]) -> tuple[list[Score], Path]:
    """Compute the scores and write the report, unless both are up to date; return the scores and the report's path."""
    report, stamp_file = folder.path / "report.html", folder.path / "analysed.json"
    stamp = _stamp(folder, plan.config, errors)
    saved = SavedNumbers(folder)
    complete = all(path.is_file() for path in (report, stamp_file, *saved.files))
    if complete and stamp_file.read_text(errors="replace") == stamp:
        with suppress(UnreadableTable):
            saved.require()
            return saved.scores(), report
    numbers = write_numbers(folder)
    scores = numbers.scores
    write_report(folder, plan.config, numbers, errors, folder.path)
    if not any(score.note.startswith(METRIC_FAILED) for score in scores):  # a mended metric is tried again
        write_atomically(stamp_file, stamp)
    folder.publish()
    return scores, report


def write_numbers(folder: SweepFolder, into: SweepFolder | None = None) -> SweepNumbers:
    """Compute a sweep's numbers and write them: scores, verdicts by problem, differences.

    Args:
        folder: the sweep's.
        into: the folder to write into, such as that of a copy; None: the sweep's.
    """
    target = SavedNumbers(into or folder)
    with target.writing_problems() as problems:
        numbers = score(folder, read_exhibits().values(), problems.add)
    target.write_scores(numbers.scores)
    target.write_differences(numbers.differences)
    if folder.config().evaluation.quality is not None:
        linted = cell_reports(folder)
        target.write_quality(linted_files(linted), linted_messages(linted))
    return numbers


def write_report(
    folder: SweepFolder, config: SweepConfig, numbers: SweepNumbers, errors: Mapping[str, str], target: Path
) -> None:
    """Write report.html, figure.svg, the tables as Markdown and CSV, and the other figures as SVG, into `target`."""
    facts = _Facts.of(folder, config, numbers, errors)
    order, failures = facts.book.order, facts.failures
    drawn = facts.signed_figures(draw(list(read_exhibits().values()), facts.evidence))
    images = {name: figure.render() for name, figure in by_file_name(drawn.figures).items()}
    text = render_report(
        Report(
            name=config.name,
            title=config.report.title or config.name,
            notice=config.report.notice,
            limit=limit_text(config),
            scores=numbers.scores,
            differences=numbers.differences,
            order=order,
            settings=[
                *settings_lines(config),
                *_leakage_lines(folder),
                *generation_facts(folder),
                *_execution_lines(folder, config),
            ],
            config_yaml=to_yaml(config),
            failures=failures,
            provenance=_provenance(folder),
            samples=[] if config.report.samples_per_pair == 0 else list(_samples(folder)),
            outcomes=facts.outcomes,
            trainings=facts.evidence.trainings,
            drawn=drawn,
            images=images,
            signature=facts.signature,
            costs=facts.costs,
            linted=facts.evidence.linted,
            strata=facts.strata,
        ),
        max_samples_per_pair=config.report.samples_per_pair,
    )
    out = target / "tables"
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(target / "report.html", text)
    if target == folder.path:
        SavedNumbers(folder).write_signature(facts.signature)
    write_atomically(
        target / f"{EFFECTS}.svg", draw_effects(facts.book, all_panels(facts.book), "svg", facts.signature)
    )
    files: dict[str, str | bytes] = {f"{FIGURES}/{name}.svg": image for name, image in images.items()}
    for name, table in by_file_name(facts.signed(facts.all_tables(numbers, drawn))).items():
        files |= {f"tables/{name}.md": to_markdown(table) + "\n", f"tables/{name}.csv": to_csv(table)}
    if images:
        (target / FIGURES).mkdir(exist_ok=True)
    for file, content in files.items():
        write_atomically(target / file, content)
    if target == folder.path:
        _remove_stale(target, files, read_exhibits())


def _remove_stale(target: Path, files: Collection[str], exhibits: Iterable[str]) -> None:
    """Remove tables and figures of other numbers: of what the config no longer names, and in formats for print.

    Nothing but a report writes tables into a sweep's folder. Of the figures there, those that files of one's own define
    stay: a figure's name begins with the id of its definition.

    Args:
        target: the sweep's folder.
        files: the names of those that a report has just written, from the folder.
        exhibits: the ids of the definitions that it has drawn.
    """
    tables = [*target.glob("tables/*.md"), *target.glob("tables/*.csv")]
    stale = [table for table in tables if str(table.relative_to(target)) not in files]
    own = tuple(f"{id}-" for id in exhibits)
    figures = [path for format in look.FORMATS for path in target.glob(f"{FIGURES}/*.{format}")]
    undrawn = [path for path in figures if str(path.relative_to(target)) not in files]
    stale += [path for path in undrawn if path.stem == EFFECTS or f"{path.stem}-".startswith(own)]
    for path in stale:
        path.unlink(missing_ok=True)


def export(
    folder: SweepFolder, format: str, out: Path | None, only: Sequence[str] = (), exhibits: Sequence[Path] = ()
) -> str:
    """Write a sweep's report, tables or figures from its results; return the text to print: the tables, or the path.

    Args:
        folder: the sweep's folder.
        format: html (the report), md, csv or latex (tables), svg or pdf (figures).
        out: the folder to write into; None: the sweep's folder for html and figures, and no file for tables.
        only: ids of the tables and figures to write; empty: all, and the tables that no file defines.
        exhibits: files, or folders of files, that define more tables and figures.

    Raises:
        UsageError: something is asked for that doesn't exist, the sweep lacks what it needs, or `out` can't be written.
    """
    asked = _asked(format, only, exhibits)
    config, errors = folder.config(), folder.errors()
    if out is not None:
        _create_folder(out)
    numbers = write_numbers(folder) if out is None and format == "html" else score(folder, asked)
    if format == "html":
        target = out or folder.path
        write_report(folder, config, numbers, errors, target)
        if out is None:
            folder.publish()
        return str(target / "report.html") if out else f"{folder}/report.html"
    facts = _Facts.of(folder, config, numbers, errors)
    drawn = facts.signed_figures(draw(asked, facts.evidence, required=bool(only)))
    if format in look.FORMATS:
        images = {name: figure.render(format) for name, figure in by_file_name(drawn.figures).items()}
        if not only and (effects := draw_effects(facts.book, all_panels(facts.book), format, facts.signature)):
            images[EFFECTS] = effects
        return _write_figures(folder, images, format, out)
    shown = facts.signed(drawn.tables if only else facts.all_tables(numbers, drawn))
    if out is None:
        comment = {"csv": "#", "latex": "%"}.get(format, "")
        limit = [f"{comment} Limited run: {limit_text(config)}".strip()] if limit_text(config) else []
        return "\n\n".join([*limit, to_text(shown, format)])
    for name, table in by_file_name(shown).items():
        write_atomically(out / f"{name}.{FORMATS[format]}", written(table, format).rstrip("\n") + "\n")
    return str(out)


def signature_of(folder: SweepFolder) -> str:
    """Return what the numbers of a sweep's next report rest on."""
    strata = linted_strata(folder, cell_reports(folder))
    return sweep_signature(folder, linter=_linter(strata))


def _linter(strata: Sequence[LintedStratum]) -> str:
    return next((stratum.linter for stratum in strata if stratum.linter), "")


def _asked(format: str, only: Sequence[str], exhibits: Sequence[Path]) -> list[Exhibit]:
    """Return the tables and figures that are asked for; raise UsageError for what doesn't exist or doesn't fit."""
    formats = ("html", *FORMATS, *look.FORMATS)
    if format not in formats:
        raise UnknownName("format", format, formats)
    if format == "html" and (only or exhibits):
        raise UsageError(f"--only and --exhibits don't change the page; add --format {' or '.join(formats[1:])}")
    found = chosen(read_exhibits(exhibits), only)
    tables = [exhibit.id for exhibit in found if not exhibit.has_figure]
    if only and tables and format in look.FORMATS:
        raise UsageError(
            f"{', '.join(tables)} has no figure to write as {format}; give --format {' or '.join(FORMATS)}"
        )
    figures = [exhibit.id for exhibit in found if not exhibit.has_table]
    if only and figures and format in FORMATS:
        raise UsageError(
            f"{', '.join(figures)} has no table to write as {format}; give --format {' or '.join(look.FORMATS)}"
        )
    return found


def _write_figures(folder: SweepFolder, images: Mapping[str, bytes], format: str, out: Path | None) -> str:
    """Write rendered figures into files; return the folder."""
    target = out or folder.path / FIGURES
    target.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        write_atomically(target / f"{name}.{format}", image)
    if out is None:
        folder.publish()
    return str(out or f"{folder}/{FIGURES}")


@dataclass(frozen=True)
class _Facts:
    """What the tables and figures of a sweep show beside its numbers, read once."""

    evidence: Evidence
    failures: Sequence[Failure]
    outcomes: Sequence[PairOutcomes]
    costs: Sequence[Cost]
    strata: Sequence[LintedStratum]
    signature: str

    @classmethod
    def of(cls, folder: SweepFolder, config: SweepConfig, numbers: SweepNumbers, errors: Mapping[str, str]) -> _Facts:
        failures, linted = _failures(folder, errors), cell_reports(folder)
        book, strata = ScoreBook.of(numbers.scores, order_of(config), failures), linted_strata(folder, linted)
        return cls(
            Evidence(book, numbers.rates, trainings(folder, config), linted),
            failures,
            pair_outcomes(folder),
            costs(folder),
            strata,
            sweep_signature(folder, linter=_linter(strata)),
        )

    @property
    def book(self) -> ScoreBook:
        """The scores and failures."""
        return self.evidence.book

    def all_tables(self, numbers: SweepNumbers, drawn: Drawn) -> list[Table]:
        """Return all tables: of differences, outcomes, trainings, code quality, failures, and of files."""
        order, trained = self.book.order, self.evidence.trainings
        return [
            *difference_tables(numbers.differences, self.book),
            *drawn.tables,
            *outcome_tables(self.outcomes, order),
            *([training_table(trained, order)] if trained else []),
            *quality_tables(self.evidence.linted, self.strata, order),
            cost_table(self.costs),
            *([failure_table(self.failures)] if self.failures else []),
        ]

    def signed(self, tables: Sequence[Table]) -> list[Table]:
        """Return tables with the sweep's signature."""
        return [replace(table, signature=self.signature) for table in tables]

    def signed_figures(self, drawn: Drawn) -> Drawn:
        """Return what was drawn, its figures with the sweep's signature."""
        return replace(drawn, figures=tuple(replace(figure, signature=self.signature) for figure in drawn.figures))


def _samples(folder: SweepFolder) -> Iterator[PairSamples]:
    """Yield the prompts, completions and verdicts of each evaluation pair for the report's sample viewer."""
    store = folder.store
    prompts = cache(lambda key: store.rows(GridArtefact("test_set", key, ""), PromptRow))
    for row in folder.grid():
        if all(store.has(artefact) for artefact in (row.test_set, row.completions, row.results)):
            yield PairSamples(
                row.model,
                row.training_set,
                row.seed,
                row.recipe,
                row.problem_set,
                row.test_name.removeprefix(f"{row.problem_set} "),
                prompts(row.test_set_key),
                store.rows(row.completions, Completion),
                store.rows(row.results, Result),
            )


def _leakage_lines(folder: SweepFolder) -> list[Line]:
    """Return the line on leaked training rows, from the newest run that looked for them."""
    sentence = folder.leakage()
    return [("leakage", sentence)] if sentence else []


def generation_facts(folder: SweepFolder) -> list[Line]:
    """Return the line on completions, computed from the counts of all pairs of the sweep."""
    distinct = {row.completions_key: row.completions for row in folder.grid()}
    return generation_lines([folder.store.counts(completions) for completions in distinct.values()])


def _execution_lines(folder: SweepFolder, config: SweepConfig) -> list[Line]:
    """Return the lines on execution, computed from the counts of all results of the sweep."""
    lines = execution_lines(config.execution, _execution_counts(folder))
    return [*lines, *inside_lines(judged_inside(folder, config))]


def _execution_counts(folder: SweepFolder) -> list[Mapping[str, Any]]:
    """Return the counts of all results of the sweep."""
    distinct = {row.results_key: row.results for row in folder.grid()}
    return [folder.store.counts(results) for results in distinct.values()]


def _failures(folder: SweepFolder, errors: Mapping[str, str]) -> list[Failure]:
    """Return the failed cells with their errors."""
    cells = by_cell(folder.grid())
    failed = {cell: rows[0] for cell, rows in cells.items() if cell in errors}
    return [
        Failure(r.model, r.recipe, r.training_set, r.seed, errors[cell].removeprefix(f"{cell}: "))
        for cell, r in failed.items()
    ]


def _provenance(folder: SweepFolder) -> list[Line]:
    """Return the lines on machine, versions, storage and time; empty before the first run."""
    runs = folder.runs()
    if not runs:
        return []
    last = runs[-1]
    lines = [
        ("machine", f"{last['cpus']} CPUs, {last['machine']}, Python {last['python']}"),
        ("versions", ", ".join(f"{name} {number}" for name, number in last["versions"].items())),
        ("storage", "artefacts by key, see grid.parquet in the sweep's folder"),
    ]
    working = [run for run in runs if run["cells"]]
    total = sum(run["wall_seconds"] for run in working)
    lines.append(("wall time", f"{total / 60:.1f} min over {count(len(working), 'run')} ({last['engine']} engine)"))
    lines.append(("last run", str(last["started"])))
    return lines


def _stamp(folder: SweepFolder, config: SweepConfig, errors: Mapping[str, str]) -> str:
    """Return a hash of everything that determines the scores and the report: results, metrics, config, errors."""
    has = folder.store.has
    judged = sorted((row.results_key, has(row.test_set)) for row in folder.grid() if has(row.results))
    linted = sorted(row.quality_key for row in folder.grid() if row.quality is not None and has(row.quality))
    metrics = [(name, kind.plugin_spec(name)) for kind in (METRICS, COMPARISONS) for name in kind.names()]
    config_text, audit = yaml.safe_load(to_yaml(config)), rated_digest(config)
    content = [REPORT_VERSION, config_text, judged, linted, dict(errors), len(folder.runs()), metrics, audit]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _create_folder(path: Path) -> None:
    """Create a folder if it doesn't exist; raise UsageError if that fails or the folder isn't writable."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path} can't be a folder ({error.strerror}); give another one with --out") from None
    if not os.access(path, os.W_OK):
        raise UsageError(f"{path} can't be written; give another folder with --out")
