"""Blind sheets, on which raters judge two texts each.

Either a clean and a perturbed text: do both ask for the same task? The study's two authors judged samples of its sets
this way. Or a response and a rejected one: are they similar, and is that wrong? FAIT's authors read 50 so. A separate
key file, which raters don't see, records the method and the row of each two texts.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError, unwritable_named
from raysweep.rows.exported_sets import exported_sets, reason_of, task_of
from raysweep.rows.rated_sheets import KEY, PAIRS, SHEET, TEXTS, SheetItem, questions_of
from raysweep.seeding import python_rng

PAGE = "sheet.html"
_DRAW = re.compile(r"-draw-\d+$")
_COLUMNS = {TEXTS: ("clean", "perturbed"), PAIRS: ("task", "response", "rejected")}
"""Columns of a sheet's texts."""
_TEXTS = (("clean_instruction", "instruction", "perturbed"), ("clean_prompt", "prompt", "changed"))
"""Columns of a training set and of a test set: the clean text, the text, whether they differ."""


def draw_items(path: Path, n: int, seed: int, kind: str = TEXTS) -> list[SheetItem]:
    """Return `n` distinct items, or all if they are fewer, in random order, equally many of each method if it has them.

    `path`: a Parquet file of a training or test set, or a folder of them (`raysweep sets --out`). `kind`: texts that a
    perturbation changed, or pairs of a response and a rejected one. Raises UsageError if there are none.
    """
    by_method: dict[str, list[SheetItem]] = {}
    # several sets may contain the same row
    found = _pairs(path) if kind == PAIRS else _changed_rows(path)
    distinct = {(item.method, item.row_id, item.text): item for item in found}
    for item in (distinct[key] for key in sorted(distinct)):
        by_method.setdefault(item.method, []).append(item)
    if not by_method:
        lacking = "no row has a rejected response" if kind == PAIRS else "no row was changed by its method"
        raise UsageError(f"{path}: {lacking}, so there is nothing to rate")
    rng = python_rng(seed, "audit")
    for items in by_method.values():
        rng.shuffle(items)
    drawn: list[SheetItem] = []
    while len(drawn) < n and any(by_method.values()):
        drawn += [items.pop() for items in by_method.values() if items][: n - len(drawn)]
    rng.shuffle(drawn)
    return [replace(item, id=number) for number, item in enumerate(drawn, 1)]


def write_sheet(items: Sequence[SheetItem], folder: Path) -> None:
    """Write the sheet as CSV and HTML, and the key; raise UsageError if a key is there already, or writing fails."""
    if (folder / KEY).exists():
        raise UsageError(f"--out {folder} holds a sheet already, whose answers would be lost; choose another folder")
    with unwritable_named(f"--out {folder}", "choose another folder"):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / SHEET).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            questions = questions_of(items)
            writer.writerow(["id", *_COLUMNS[items[0].kind], *questions])
            tasks = [[item.task] if item.kind == PAIRS else [] for item in items]
            blank = [""] * len(questions)
            writer.writerows(
                [item.id, *task, item.clean, item.text, *blank] for item, task in zip(items, tasks, strict=True)
            )
        (folder / PAGE).write_text(_page(items), encoding="utf-8")
        (folder / KEY).write_text(json.dumps([asdict(item) for item in items], indent=1), encoding="utf-8")


def _changed_rows(path: Path) -> list[SheetItem]:
    """Return the changed rows of a set, or of all sets in a folder, with id 0.

    The set's name stands beside the method of those that sets make differently: so `W2` and
    `plain: {name: W2, senses: frequent}` are judged as two methods, "W2" and "W2 (humaneval-plain)".
    """
    items: list[tuple[str, SheetItem]] = []
    for file, rows in exported_sets(path):
        name = _DRAW.sub("", file.stem)
        items += [(name, _item(row, file)) for row in rows if row.get("perturbed", row.get("changed", True))]
    texts: dict[tuple[str, str], dict[str, set[str]]] = {}
    for name, item in items:
        texts.setdefault((item.method, item.row_id), {}).setdefault(name, set()).add(item.text)
    differ = {
        method
        for (method, _), by_set in texts.items()
        if any(first.isdisjoint(second) for first, second in pairwise(by_set.values()))
    }
    return [
        replace(item, method=f"{item.method} ({name})")
        if item.method in differ and not name.endswith(f"-{item.method}")
        else item
        for name, item in items
    ]


def _pairs(path: Path) -> list[SheetItem]:
    """Return the pairs of a set, or of all sets in a folder, with id 0. Sets of one source share their pairs."""
    pairs = {}
    for _, rows in exported_sets(path):
        for row in rows:
            if row.get("rejected") is not None:
                item = SheetItem(
                    0, reason_of(row), row["source_id"], row["output"], row["rejected"], PAIRS, task_of(row)
                )
                pairs[item.row_id, item.text] = item
    return list(pairs.values())


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
    return template.render(items=items, questions=questions_of(items), is_pairs=items[0].kind == PAIRS)
