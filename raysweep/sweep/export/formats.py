"""Writes a sweep's results in formats of other tools: samples files, model cards.

Each model has a folder of its own, named as its cell in `raysweep status`. Files of equal names are replaced. All say
what the numbers rest on: as a field of their own, or, where a samples file has no place for it, in a file beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from raysweep.errors import UnknownName, UsageError, did_you_mean, unwritable_named
from raysweep.storage.backends import full_disk_named, write_atomically
from raysweep.sweep.export.model_card import card_file
from raysweep.sweep.export.samples import Rows, evalplus_rows, human_eval_rows, to_jsonl
from raysweep.sweep.export.scores import cell_scores
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow, end_of
from raysweep.sweep.numbers import SIGNATURE
from raysweep.sweep.report.facts import sweep_signature
from raysweep.sweep.report.scoring import by_cell
from raysweep.sweep.samples import judged_pairs
from raysweep.units import count

T = TypeVar("T")


@dataclass(frozen=True)
class Exported:
    """What an export has written. `files`: relative to the folder; `notes`: what is missing or left out, in words."""

    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class File:
    """A file to write: its name relative to the folder of the export, and its content."""

    name: str
    content: str


SAMPLES: Mapping[str, Rows] = {"human-eval": human_eval_rows, "evalplus": evalplus_rows}
"""Formats with a file for each model and test set, and what yields its rows."""
FORMATS = (*SAMPLES, "model-card")


def export_format(folder: SweepFolder, format: str, out: Path, model: str | None = None) -> Exported:
    """Write a sweep's results in a format.

    `model`: export this model only: a base model of the config with all that was fine-tuned from it, or a cell by its
    id; None: all.

    Raises:
        UsageError: there is no such format or model, nothing has results yet, or the folder can't be written.
        StoreError: an artefact can't be read.
    """
    if format not in FORMATS:
        raise UnknownName("format", format, FORMATS)
    cells = chosen_cells(folder, model)
    notes = missing_results(folder, cells)
    files = _samples(folder, cells, SAMPLES[format], notes) if format in SAMPLES else _cards(folder, cells)
    written = []
    with unwritable_named(out, "give another folder with --out"), full_disk_named(str(out)):
        for file in _distinct(files):
            (out / file.name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out / file.name, file.content)
            written.append(file.name)
    if not written:
        raise nothing_to_export(folder, notes)
    return Exported(out, tuple(written), tuple(notes))


def chosen_cells(folder: SweepFolder, model: str | None) -> dict[str, list[GridRow]]:
    """Return the evaluation pairs of each cell to export. `model`: see `export_format`; raise UsageError if unknown."""
    cells = by_cell(folder.grid())
    if model is None:
        return cells
    models = sorted({pairs[0].model for pairs in cells.values()})
    chosen = {cell: pairs for cell, pairs in cells.items() if model in (cell, pairs[0].model)}
    if not chosen:
        known = f"models: {', '.join(models)}, or the id of one of their cells"
        raise UsageError(f"unknown model {model!r}{did_you_mean(model, [*models, *cells])}; {known}")
    return chosen


def _distinct(files: Iterable[File]) -> Iterator[File]:
    """Yield the files; raise UsageError where two have one name, which the names of problem sets can cause."""
    names = set()
    for file in files:
        if file.name in names:
            raise UsageError(f"two test sets have the file {file.name}; give a problem set another name (`as`)")
        names.add(file.name)
        yield file


def nothing_to_export(folder: SweepFolder, notes: Iterable[str]) -> UsageError:
    return UsageError(f"nothing of the sweep {folder.name!r} to export has results yet; {'; '.join(notes)}")


def missing_results(folder: SweepFolder, cells: Mapping[str, Sequence[GridRow]]) -> list[str]:
    """Return a line for each cell that lacks results: of how many pairs, and its error if it failed.

    Edits that ended without a model, such as those without a pair, have one line for each reason.
    """
    errors, lines, ended = folder.errors(), [], dict[str, list[str]]()
    has = folder.store.survey([row.results for rows in cells.values() for row in rows])
    for cell, rows in cells.items():
        lacking = sum(not has[row.results_key] for row in rows)
        if lacking and (why := end_of(rows[0], folder.store)):
            ended.setdefault(why.partition(":")[0], []).append(cell)
        elif lacking:
            cause = f", since it failed: {errors[cell].removeprefix(f'{cell}: ')}" if cell in errors else ""
            lines.append(f"{cell}: {lacking} of {count(len(rows), 'evaluation')} without results{cause}")
    for why, names in ended.items():
        edits = names[0] if len(names) == 1 else f"{count(len(names), 'edit')}, such as {names[0]},"
        lines.append(f"{edits} ended without a model, so there are no results: {why}")
    return lines


def _samples(
    folder: SweepFolder, cells: Mapping[str, Sequence[GridRow]], rows_of: Rows, notes: list[str]
) -> Iterator[File]:
    """Yield the samples file of each pair, and beside those of a cell what they rest on.

    It adds to `notes` the pairs whose completions or test sets are gone.
    """
    judged = set(judged_pairs(folder))
    for cell, rows in cells.items():
        there = [
            row for row in rows if row in judged and (rows_of is human_eval_rows or folder.store.has(row.test_set))
        ]
        for row in there:
            name = row.test_name.replace(" ", "_")
            yield File(f"{cell}/{name}.jsonl", to_jsonl(rows_of(folder, row)))
        if there:
            yield File(f"{cell}/{SIGNATURE}", f"{sweep_signature(folder, there)}\n")
        notes += [
            f"{cell} on {row.test_name} is left out: its completions or prompts left the store"
            for row in rows
            if row not in there and folder.store.has(row.results)
        ]


def _cards(folder: SweepFolder, cells: Mapping[str, Sequence[GridRow]]) -> Iterator[File]:
    for cell in cell_scores(folder):
        if cell.id in cells:
            name, content = card_file(folder, cell, sweep_signature(folder, cells[cell.id]))
            yield File(f"{cell.id}/{name}", content)
