"""Blind sheets: pairs of a clean and a perturbed text, for raters to judge whether both ask for the same task.

The study's two authors judged samples of its sets this way. A separate key file, which raters don't see, records the
method and the row of each pair.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.seeding import python_rng

QUESTIONS = ("same_task", "readable")
KEY, SHEET, PAGE = "key.json", "sheet.csv", "sheet.html"
_YES, _NO = ("y", "yes", "1", "true"), ("n", "no", "0", "false")
_TEXTS = (("clean_instruction", "instruction", "perturbed"), ("clean_prompt", "prompt", "changed"))
"""Columns of a training set and of a test set: the clean text, the text, whether they differ."""


@dataclass(frozen=True)
class SheetItem:
    """One pair to judge. `id`: its number on the sheet, from 1; `row_id`: the id of the training row or the problem."""

    id: int
    method: str
    row_id: str
    clean: str
    text: str


def draw_items(path: Path, n: int, seed: int) -> list[SheetItem]:
    """Return `n` distinct changed rows in random order, equally many of each method as far as it has rows.

    Args:
        path: a Parquet file of a training or test set, or a folder of them (`raysweep sets --out`).
        n: number of rows; if there are fewer, all are returned.
        seed: the seed of the draw.

    Raises:
        UsageError: the file or folder can't be read, contains no set, or contains no changed row.
    """
    by_method: dict[str, list[SheetItem]] = {}
    # several sets may contain the same row
    distinct = {(item.method, item.row_id, item.text): item for item in _changed_rows(path)}
    for item in (distinct[key] for key in sorted(distinct)):
        by_method.setdefault(item.method, []).append(item)
    if not by_method:
        raise UsageError(f"{path}: no row was changed by its method, so there is nothing to judge")
    rng = python_rng(seed, "audit")
    for items in by_method.values():
        rng.shuffle(items)
    drawn: list[SheetItem] = []
    while len(drawn) < n and any(by_method.values()):
        drawn += [items.pop() for items in by_method.values() if items][: n - len(drawn)]
    rng.shuffle(drawn)
    return [replace(item, id=number) for number, item in enumerate(drawn, 1)]


def write_sheet(items: Sequence[SheetItem], folder: Path) -> None:
    """Write the sheet as CSV and as an HTML page, and the key.

    Raises:
        UsageError: the folder contains a key already, or can't be written.
    """
    if (folder / KEY).exists():
        raise UsageError(f"--out {folder} holds a sheet already, whose answers would be lost; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / SHEET).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "clean", "perturbed", *QUESTIONS])
            writer.writerows([item.id, item.clean, item.text, *[""] * len(QUESTIONS)] for item in items)
        (folder / PAGE).write_text(_page(items), encoding="utf-8")
        (folder / KEY).write_text(json.dumps([asdict(item) for item in items], indent=1), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {folder} can't be written ({error.strerror}); choose another folder") from None


def read_key(folder: Path) -> list[SheetItem]:
    """Return the items of a sheet; raise UsageError if the folder has no key."""
    try:
        return [SheetItem(**item) for item in json.loads((folder / KEY).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        raise UsageError(
            f"{folder} has no {KEY} of a sheet; give the folder that `raysweep audit SET --out` wrote"
        ) from None


def read_answers(path: Path, items: Sequence[SheetItem]) -> dict[int, Mapping[str, bool]]:
    """Return one rater's answers by item id.

    Raises:
        UsageError: the file can't be read, or an answer is missing, given twice, or neither yes nor no.
    """
    answers: dict[int, Mapping[str, bool]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} can't be read as CSV: {error}") from None
    for number, row in enumerate(rows, 2):
        location = f"{path}, row {number}"
        if not str(row.get("id") or "").isdigit() or int(row["id"]) in answers:
            raise UsageError(f"{location}: id {row.get('id')!r} is not a number or appears twice; keep the sheet's ids")
        answers[int(row["id"])] = {question: _answer(row.get(question), question, location) for question in QUESTIONS}
    unknown = sorted(answers.keys() - {item.id for item in items})
    if unknown:
        raise UsageError(
            f"{path}: item {unknown[0]} is not on this sheet of {len(items)}; these answers are for another sheet"
        )
    missing = [item.id for item in items if item.id not in answers]
    if missing:
        raise UsageError(f"{path}: {len(missing)} of {len(items)} items have no row, the first is {missing[0]}")
    return answers


def read_raters(paths: Sequence[Path], items: Sequence[SheetItem]) -> dict[str, dict[int, Mapping[str, bool]]]:
    """Return the answers of several raters by name; a rater's name is that of the file.

    Raises:
        UsageError: two files have the same name, or see `read_answers`.
    """
    by_rater: dict[str, dict[int, Mapping[str, bool]]] = {}
    for path in paths:
        if path.stem in by_rater:
            raise UsageError(f"{path}: there are two files of the rater {path.stem!r}; rename one of them")
        by_rater[path.stem] = read_answers(path, items)
    return by_rater


def _answer(text: str | None, question: str, location: str) -> bool:
    answer = (text or "").strip().lower()
    if answer not in (*_YES, *_NO):
        raise UsageError(f"{location}: {question} is {text!r}; answer yes or no")
    return answer in _YES


def _changed_rows(path: Path) -> list[SheetItem]:
    """Return the changed rows of a set, or of all sets in a folder, with id 0."""
    import pyarrow
    import pyarrow.parquet

    paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not paths:
        raise UsageError(f"{path} contains no Parquet file; make one with `raysweep sets CONFIG --out {path}`")
    items: list[SheetItem] = []
    for file in paths:
        try:
            rows = pyarrow.parquet.read_table(file).to_pylist()
        except (OSError, pyarrow.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{file} can't be read ({reason}); give a Parquet file of a set") from None
        items += [_item(row, file) for row in rows if row.get("perturbed", row.get("changed", True))]
    return items


def _item(row: Mapping[str, Any], file: Path) -> SheetItem:
    for clean, text, changed in _TEXTS:
        if changed in row:
            return SheetItem(0, row["method"], row.get("row_id") or row["task_id"], row[clean], row[text])
    raise UsageError(
        f"{file} is not a training or test set of raysweep; make one with `raysweep sets CONFIG --out DIR`"
    )


def _page(items: Sequence[SheetItem]) -> str:
    from jinja2 import Environment, StrictUndefined

    source = files(__package__).joinpath("sheet.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    return template.render(items=items)
