"""Blind sheets: pairs of a clean and a perturbed text, for raters to judge whether both ask for the same task.

The study's two authors judged samples of its sets this way. A separate key file, which raters don't see, records the
method and the row of each pair.
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

from raysweep.errors import UsageError
from raysweep.rows.rated_sheets import KEY, QUESTIONS, SHEET, SheetItem
from raysweep.seeding import python_rng

PAGE = "sheet.html"
_DRAW = re.compile(r"-draw-\d+$")
_GIVE = "give a folder that `raysweep sets CONFIG --out DIR` wrote, or a Parquet file of it"
_TEXTS = (("clean_instruction", "instruction", "perturbed"), ("clean_prompt", "prompt", "changed"))
"""Columns of a training set and of a test set: the clean text, the text, whether they differ."""


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


def _changed_rows(path: Path) -> list[SheetItem]:
    """Return the changed rows of a set, or of all sets in a folder, with id 0."""
    import pyarrow
    import pyarrow.parquet

    if not path.exists():
        raise UsageError(f"{path} doesn't exist; {_GIVE}")
    paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not paths:
        raise UsageError(f"{path} contains no Parquet file; make one with `raysweep sets CONFIG --out {path}`")
    items: list[tuple[str, SheetItem]] = []
    for file in paths:
        try:
            rows = pyarrow.parquet.read_table(file).to_pylist()
        except (OSError, pyarrow.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{file} can't be read ({reason}); {_GIVE}") from None
        name = _DRAW.sub("", file.stem)
        items += [(name, _item(row, file)) for row in rows if row.get("perturbed", row.get("changed", True))]
    return _named(items)


def _named(items: Sequence[tuple[str, SheetItem]]) -> list[SheetItem]:
    """Return the items of several sets with the set's name beside the method of those that are made differently.

    So `W2` and `plain: {name: W2, senses: frequent}` are judged as two methods: "W2" and "W2 (humaneval-plain)".
    """
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
