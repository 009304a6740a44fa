"""Reads what pylint said of a sweep's completions: for tables, and as rows for quality.parquet and its messages."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from raysweep.quality.reports import (
    MESSAGES,
    CellReports,
    FileReport,
    LintedFile,
    LintedMessage,
    LintedStratum,
    LintMessage,
    LintReports,
)
from raysweep.quality.sampling import BASES, TUNED
from raysweep.quality.taxonomy import CAUSED_BY_CUTTING, Severity, severity_of, tier_of
from raysweep.records import BASE, CLEAN
from raysweep.rows.parquet import read_rows
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow, edited_problems

CUT = "caused_by_cutting"
COUNTED = (*(severity.name.lower() for severity in Severity), CUT)
"""Fields of `LintedFile` with numbers of messages."""


def cell_reports(folder: SweepFolder) -> list[CellReports]:
    """Return the reports of each cell and problem set that the store has any of, in the grid's order."""
    store = folder.store
    cells = []
    for row in folder.grid():
        if row.quality is not None and store.has(row.quality):
            messages = read_rows(store.use(row.quality) / MESSAGES, LintMessage)
            reports = LintReports(tuple(store.rows(row.quality, FileReport)), tuple(messages))
            cell = (row.model, row.recipe, row.training_set, row.seed, row.problem_set)
            cells.append(CellReports(*cell, reports))
    return cells


def linted_strata(folder: SweepFolder, cells: Sequence[CellReports]) -> list[LintedStratum]:
    """Return the strata of a sweep of which some completion is in the sample, fine-tuned models first."""
    strata: dict[tuple[str, str], list[GridRow]] = defaultdict(list)
    for row in folder.grid():
        if row.perturbation == CLEAN:
            strata[row.problem_set, _stratum(row.training_set)].append(row)
    files: Counter[tuple[str, str]] = Counter()
    for cell in cells:
        files[cell.problem_set, _stratum(cell.training_set)] += len(cell.reports.files)
    has, counts = folder.store.has, folder.store.counts
    artefact = next((row.quality for row in folder.grid() if row.quality and has(row.quality)), None)
    spec = folder.store.manifest(artefact)["spec"] if artefact else {}
    linter = ", ".join(f"{name} {spec[name]}" for name in ("pylint", "astroid", "python") if name in spec)
    return [
        LintedStratum(
            problem_set,
            name,
            sum(int(counts(row.test_set).get("rows", 0)) - len(edited_problems(row, folder.store)) for row in rows),
            files[problem_set, name],
            sum(row.quality is not None and not has(row.quality) for row in rows),
            linter,
        )
        for (problem_set, name), rows in sorted(strata.items(), key=lambda item: (item[0][0], item[0][1] != TUNED))
        if any(row.quality_key for row in rows)
    ]


def linted_files(cells: Sequence[CellReports]) -> Iterator[LintedFile]:
    for cell in cells:
        of_file: dict[str, Counter[str]] = defaultdict(Counter)
        for message in cell.reports.messages:
            cut = message.code in CAUSED_BY_CUTTING
            of_file[message.file_id][CUT if cut else severity_of(message.code).name.lower()] += 1
        for file in cell.reports.files:
            counts = of_file[file.file_id]
            yield LintedFile(
                cell.model,
                cell.recipe,
                cell.training_set,
                cell.seed,
                cell.problem_set,
                file.file_id,
                file.outcome,
                file.score,
                file.statements,
                file.lines,
                **{name: counts[name] for name in COUNTED},
                traps=file.traps,
            )


def linted_messages(cells: Sequence[CellReports]) -> Iterator[LintedMessage]:
    for cell in cells:
        labels = (cell.model, cell.recipe, cell.training_set, cell.seed, cell.problem_set)
        for message in cell.reports.messages:
            yield LintedMessage(
                *labels,
                message.file_id,
                message.code,
                message.symbol,
                severity_of(message.code).name.lower(),
                tier_of(message.code).name,
                message.line,
                message.column,
                message.in_prompt,
                message.code in CAUSED_BY_CUTTING,
            )


def _stratum(training_set: str) -> str:
    return BASES if training_set == BASE else TUNED
