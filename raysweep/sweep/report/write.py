"""Computes a sweep's scores from its results, and writes its tables, figure and report into the sweep's folder."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from raysweep.analysis.comparisons.base import COMPARISONS
from raysweep.analysis.exhibits.base import EXHIBITS, Exhibit
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.figures import look
from raysweep.analysis.figures.effects import NAME as EFFECTS
from raysweep.analysis.figures.look import ReportFigure
from raysweep.analysis.page.report import render_report
from raysweep.analysis.sections.base import SECTIONS, Report, Section, Shown, all_sections, show
from raysweep.analysis.tables.table import FORMATS, Table, by_file_name, to_csv, to_markdown, to_text, written
from raysweep.config.loading import to_yaml
from raysweep.config.schema import SweepConfig
from raysweep.errors import UnknownName, UsageError
from raysweep.hashing import sha256, text_sha
from raysweep.metrics.base import METRICS
from raysweep.metrics.scores import METRIC_FAILED
from raysweep.records import Score
from raysweep.rows.parquet import UnreadableTable
from raysweep.storage.backends import write_atomically
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.numbers import SavedNumbers
from raysweep.sweep.report.notes import limit_text
from raysweep.sweep.report.quality import cell_reports, linted_files, linted_messages
from raysweep.sweep.report.records import report_of
from raysweep.sweep.report.scoring import SweepNumbers, rated_digest, score

if TYPE_CHECKING:
    from raysweep.planning.plan import SweepPlan

log = logging.getLogger("raysweep")

FIGURES = "figures"
"""The folder of the figures that files define, in a sweep's folder."""
CACHE = "__pycache__"
CODE = ("analysis", "metrics", "quality", "stats", "sweep/report")
"""Folders of the package whose files decide what a report says of equal results: after any change in them the next run
writes it again. A change of the little else that they call needs `raysweep report NAME`."""


def analyse(folder: SweepFolder, plan: SweepPlan, errors: Mapping[str, str]) -> tuple[list[Score], Path]:
    """Compute the scores and write the report, unless both are up to date; return the scores and the report's path."""
    report, stamp_file = folder.path / "report.html", folder.path / "analysed.json"
    has, grid = folder.store.has, folder.grid()
    judged = sorted((row.results_key, has(row.test_set)) for row in grid if has(row.results))
    linted = sorted(row.quality_key for row in grid if row.quality is not None and has(row.quality))
    config_text, audit = yaml.safe_load(to_yaml(plan.config)), rated_digest(plan.config)
    # all that determines scores and report: results, code, config, errors
    content = [report_code(), config_text, judged, linted, dict(errors), len(folder.runs()), audit]
    stamp = text_sha(json.dumps(content, sort_keys=True))
    saved = SavedNumbers(folder)
    complete = all(path.is_file() for path in (report, stamp_file, *saved.files))
    if complete and stamp_file.read_text(errors="replace") == stamp:
        with suppress(UnreadableTable):
            saved.require()
            return saved.scores(), report
    with folder.store.checking_once():
        numbers = write_numbers(folder)
        write_report(folder, plan.config, numbers, errors, folder.path)
    if not any(score.note.startswith(METRIC_FAILED) for score in numbers.scores):  # a mended metric is tried again
        write_atomically(stamp_file, stamp)
    folder.publish()
    return numbers.scores, report


def write_numbers(folder: SweepFolder, into: SweepFolder | None = None) -> SweepNumbers:
    """Compute and write scores, verdicts by problem, differences. `into`: another folder than the sweep's."""
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
    sections, exhibits = all_sections(), read_exhibits()
    report = report_of(folder, config, numbers, errors, list(exhibits.values()), sections)
    shown = show(report, sections)
    images = _rendered(_figures(shown))
    page = render_report(report, shown, images)
    (target / "tables").mkdir(exist_ok=True)
    write_atomically(target / "report.html", page)
    if target == folder.path:
        SavedNumbers(folder).write_signature(report.signature)
    write_atomically(target / f"{EFFECTS}.svg", images.pop(EFFECTS, b""))
    files: dict[str, str | bytes] = {f"{FIGURES}/{name}.svg": image for name, image in images.items()}
    tables = _signed([*_tables(shown), *_in_no_section(shown, report)], report)
    for name, table in by_file_name(tables).items():
        files |= {f"tables/{name}.md": to_markdown(table) + "\n", f"tables/{name}.csv": to_csv(table)}
    if images:
        (target / FIGURES).mkdir(exist_ok=True)
    for file, content in files.items():
        write_atomically(target / file, content)
    if target == folder.path:
        _remove_stale(target, files, exhibits)


def _tables(shown: Shown) -> list[Table]:
    return [table for _, content in shown for table in content.all_tables]


def _figures(shown: Shown) -> list[ReportFigure]:
    return [figure for _, content in shown for figure in content.figures]


def _in_no_section(shown: Shown, report: Report) -> list[Table]:
    there = {id(table) for table in _tables(shown)}
    return [table for table in report.drawn.tables if id(table) not in there]


def _signed(tables: Iterable[Table], report: Report) -> list[Table]:
    return [replace(table, signature=report.signature) for table in tables]


def _rendered(figures: Iterable[ReportFigure], format: str = "svg") -> dict[str, bytes]:
    return {name: figure.render(format) for name, figure in by_file_name(figures).items()}


def _remove_stale(target: Path, files: Collection[str], exhibits: Iterable[str]) -> None:
    """Remove tables and figures of other numbers: of what the config no longer names, and in formats for print.

    Nothing but a report writes tables into a sweep's folder. Of the figures there, those that files of one's own define
    stay: a figure's name begins with the id of its definition.
    """
    tables = [*target.glob("tables/*.md"), *target.glob("tables/*.csv")]
    stale = [table for table in tables if str(table.relative_to(target)) not in files]
    names = tuple(f"{id}-" for id in exhibits)
    figures = [path for format in look.FORMATS for path in target.glob(f"{FIGURES}/*.{format}")]
    undrawn = [path for path in figures if str(path.relative_to(target)) not in files]
    stale += [path for path in undrawn if path.stem == EFFECTS or f"{path.stem}-".startswith(names)]
    for path in stale:
        path.unlink(missing_ok=True)


def export(
    folder: SweepFolder,
    format: str,
    out: Path | None,
    only: Sequence[str] = (),
    exhibits: Sequence[Path] = (),
    *,
    each_seed: bool = False,
) -> str:
    """Write a sweep's report, tables or figures from its results; return the text to print: the tables, or the path.

    `format`: html (the report), md, csv or latex (tables), svg or pdf (figures). `out`: the folder to write into; None:
    the sweep's folder for html and figures, and no file for tables. `only`: ids of exhibits and names of sections;
    empty: all. `exhibits`: files, or folders of files, that define more tables and figures.

    Raises UsageError if something doesn't exist, the sweep lacks what it needs, or `out` can't be written.
    """
    chosen, sections = _asked(format, only, exhibits)
    config = folder.config()
    if each_seed:
        config = config.model_copy(update={"report": config.report.model_copy(update={"each_seed": True})})
    if out is not None:
        _create_folder(out)
    if format == "html":
        with folder.store.checking_once():
            numbers = write_numbers(folder) if out is None else score(folder, read_exhibits().values())
            write_report(folder, config, numbers, folder.errors(), out or folder.path)
        if out is None:
            folder.publish()
        return str(out / "report.html") if out else f"{folder}/report.html"
    shown = list(read_exhibits(exhibits).values())
    with folder.store.checking_once():
        tables, figures = _drawn(folder, config, chosen, sections, shown, all_of_it=not only)
    drawn, what = (figures, "figure") if format in look.FORMATS else (tables, "table")
    if only and not drawn:
        raise UsageError(f"{', '.join(only)} has no {what} in this sweep")
    if format in look.FORMATS:
        return _write_figures(folder, _rendered(figures, format), format, out)
    if out is None:
        comment, limit = {"csv": "#", "latex": "%"}.get(format, ""), limit_text(config)
        head = [f"{comment} Limited run: {limit}".strip()] if limit else []
        return "\n\n".join([*head, to_text(tables, format)])
    for name, table in by_file_name(tables).items():
        write_atomically(out / f"{name}.{FORMATS[format]}", written(table, format).rstrip("\n") + "\n")
    return str(out)


def _asked(format: str, only: Sequence[str], files: Sequence[Path]) -> tuple[list[Exhibit], list[Section]]:
    """Return the exhibits and sections that are asked for; raise UsageError for what doesn't exist or doesn't fit."""
    formats = ("html", *FORMATS, *look.FORMATS)
    if format not in formats:
        raise UnknownName("format", format, formats)
    if format == "html" and (only or files):
        raise UsageError(f"--only and --exhibits don't change the page; add --format {' or '.join(formats[1:])}")
    exhibits, names = read_exhibits(files), SECTIONS.names()
    if twice := [id for id in exhibits if id in names]:
        raise UsageError(f"the id {twice[0]!r} is the name of a section of the report; take another one")
    in_files = {section.name: section for section in all_sections() if section.in_files}
    if not only:
        return [], list(in_files.values())
    for name in only:
        if name in names and name not in in_files:
            raise UsageError(f"the section {name} is on the report's page only, without tables and figures")
        if name not in exhibits and name not in names:
            raise UnknownName("table, figure or section", name, [*exhibits, *in_files])
    chosen = [exhibits[name] for name in dict.fromkeys(only) if name in exhibits]
    sections = [in_files[name] for name in dict.fromkeys(only) if name in names]
    if on_page := [exhibit.id for exhibit in chosen if not exhibit.has_figure and not exhibit.has_table]:
        raise UsageError(f"{', '.join(on_page)}: on the report's page only, without a table or figure")
    without_figure = [exhibit.id for exhibit in chosen if not exhibit.has_figure]
    without_table = [exhibit.id for exhibit in chosen if not exhibit.has_table]
    for what, known, without, others in (
        ("figure", look.FORMATS, without_figure, FORMATS),
        ("table", FORMATS, without_table, look.FORMATS),
    ):
        if format in known and without:
            none = f"{', '.join(without)} has no {what} to write as {format}"
            raise UsageError(f"{none}; give --format {' or '.join(others)}")
    return chosen, sections


def _drawn(
    folder: SweepFolder,
    config: SweepConfig,
    chosen: Sequence[Exhibit],
    sections: Sequence[Section],
    exhibits: Sequence[Exhibit],
    *,
    all_of_it: bool,
) -> tuple[list[Table], list[ReportFigure]]:
    """Return the tables and figures of chosen exhibits and of sections; `exhibits`: those that sections may show."""
    errors = folder.errors()
    shared = exhibits if any("drawn" in section.reads for section in sections) else []
    numbers = score(folder, [*chosen, *shared])
    tables: list[Table] = []
    figures: list[ReportFigure] = []
    if chosen:
        report = report_of(folder, config, numbers, errors, chosen, (), required=True)
        tables, figures = _signed(report.drawn.tables, report), list(report.drawn.figures)
    if sections:
        report = report_of(folder, config, numbers, errors, shared, sections)
        shown = show(report, sections)
        tables += _signed([*_tables(shown), *(_in_no_section(shown, report) if all_of_it else [])], report)
        figures += _figures(shown)
        lacking = {section.name for section in sections} - {section.name for section, _ in shown}
        if lacking and not all_of_it:
            raise UsageError(f"this sweep has nothing to show in {', '.join(sorted(lacking))}")
    return tables, figures


def _write_figures(folder: SweepFolder, images: Mapping[str, bytes], format: str, out: Path | None) -> str:
    target = out or folder.path / FIGURES
    target.mkdir(exist_ok=True)
    for name, image in images.items():
        write_atomically(target / f"{name}.{format}", image)
    if out is None:
        folder.publish()
    return str(out or f"{folder}/{FIGURES}")


def report_code() -> list[Any]:
    """Return which code determines the scores and the report: hashes of raysweep's own files, installed packages."""
    kinds = (METRICS, COMPARISONS, EXHIBITS, SECTIONS)
    plugins = [(name, kind.plugin_spec(name)) for kind in kinds for name in kind.names()]
    return [_own_code(Path(__file__).parents[2]), plugins]


def _own_code(package: Path) -> list[tuple[str, str]]:
    paths = sorted(path for folder in CODE for path in (package / folder).rglob("*.*") if path.parent.name != CACHE)
    return [(path.relative_to(package).as_posix(), sha256(path)) for path in paths if path.is_file()]


def _create_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{path} can't be a folder ({error.strerror}); give another one with --out") from None
    if not os.access(path, os.W_OK):
        raise UsageError(f"{path} can't be written; give another folder with --out")
