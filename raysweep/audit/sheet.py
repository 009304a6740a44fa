"""Blind sheets: pairs of a clean and a perturbed text, of which raters say whether they ask for the same.

The study's two authors judged samples of its sets so. Methods and rows stand in a key file that raters need not see.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from raysweep.errors import UsageError
from raysweep.seeding import python_rng

QUESTIONS = ("same_task", "readable")
KEY, SHEET, PAGE = "key.json", "sheet.csv", "sheet.html"
_YES, _NO = ("y", "yes", "1", "true"), ("n", "no", "0", "false")
_TEXTS = (("clean_instruction", "instruction", "perturbed"), ("clean_prompt", "prompt", "changed"))
"""Columns of a training set and of a test set: clean text, text, whether they differ."""


@dataclass(frozen=True)
class Item:
    """One pair to judge. `id`: its number on the sheet, from 1; `row_id`: of the training row or the problem."""

    id: int
    method: str
    row_id: str
    clean: str
    text: str


def draw_items(path: Path, n: int, seed: int) -> list[Item]:
    """Return `n` changed rows, no two alike, equally many of each method as far as there are, in random order.

    Args:
        path: a Parquet file of a training or test set, or a folder of them (`raysweep sets --out`).
        n: how many; all where there are fewer.
        seed: another one draws others.

    Raises:
        UsageError: the file or folder can't be read, holds no set, or nothing in it was changed.
    """
    by_method: dict[str, list[Item]] = {}
    different = {(item.method, item.row_id, item.text): item for item in _changed(path)}  # sets share rows
    for item in (different[key] for key in sorted(different)):
        by_method.setdefault(item.method, []).append(item)
    if not by_method:
        raise UsageError(f"{path}: no row was changed by its method, so there is nothing to judge")
    rng = python_rng(seed, "audit")
    for items in by_method.values():
        rng.shuffle(items)
    drawn: list[Item] = []
    while len(drawn) < n and any(by_method.values()):
        drawn += [items.pop() for items in by_method.values() if items][: n - len(drawn)]
    rng.shuffle(drawn)
    return [Item(at, item.method, item.row_id, item.clean, item.text) for at, item in enumerate(drawn, 1)]


def write_sheet(items: Sequence[Item], folder: Path) -> None:
    """Write the sheet as CSV and as a page for a browser, and the key.

    Raises:
        UsageError: the folder holds a key already, or can't be written.
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


def read_key(folder: Path) -> list[Item]:
    """Return the items of a sheet; raise UsageError where the folder has no key of one."""
    try:
        return [Item(**item) for item in json.loads((folder / KEY).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        raise UsageError(
            f"{folder} has no {KEY} of a sheet; name the folder that `raysweep audit SET --out` wrote"
        ) from None


def read_answers(path: Path, items: Sequence[Item]) -> dict[int, Mapping[str, bool]]:
    """Return one rater's answers by item.

    Raises:
        UsageError: the file can't be read, or an answer is missing, doubled or neither yes nor no.
    """
    found: dict[int, Mapping[str, bool]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} can't be read as CSV: {error}") from None
    for number, row in enumerate(rows, 2):
        place = f"{path}, row {number}"
        if not str(row.get("id") or "").isdigit() or int(row["id"]) in found:
            raise UsageError(f"{place}: id {row.get('id')!r} is none, or stands there twice; keep the sheet's ids")
        found[int(row["id"])] = {question: _answer(row.get(question), question, place) for question in QUESTIONS}
    surplus = sorted(found.keys() - {item.id for item in items})
    if surplus:
        raise UsageError(f"{path}: item {surplus[0]} is not on this sheet of {len(items)}; these answers are another's")
    missing = [item.id for item in items if item.id not in found]
    if missing:
        raise UsageError(f"{path}: {len(missing)} of {len(items)} items have no row, the first is {missing[0]}")
    return found


def read_raters(paths: Sequence[Path], items: Sequence[Item]) -> dict[str, dict[int, Mapping[str, bool]]]:
    """Return the answers of several raters, who are called as their files are.

    Raises:
        UsageError: two files have one name; as `read_answers`.
    """
    found: dict[str, dict[int, Mapping[str, bool]]] = {}
    for path in paths:
        if path.stem in found:
            raise UsageError(f"{path}: there are two files of the rater {path.stem!r}; a rater is called as the file")
        found[path.stem] = read_answers(path, items)
    return found


def _answer(text: str | None, question: str, place: str) -> bool:
    answer = (text or "").strip().lower()
    if answer not in (*_YES, *_NO):
        raise UsageError(f"{place}: {question} is {text!r}; answer yes or no")
    return answer in _YES


def _changed(path: Path) -> list[Item]:
    import pyarrow
    import pyarrow.parquet

    paths = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not paths:
        raise UsageError(f"{path} holds no Parquet file; make one with `raysweep sets CONFIG --out {path}`")
    found: list[Item] = []
    for file in paths:
        try:
            rows = pyarrow.parquet.read_table(file).to_pylist()
        except (OSError, pyarrow.ArrowException) as error:
            reason = str(error).splitlines()[0]
            raise UsageError(f"{file} can't be read ({reason}); name a Parquet file of a set") from None
        found += [_item(row, file) for row in rows if row.get("perturbed", row.get("changed", True))]
    return found


def _item(row: Mapping[str, Any], file: Path) -> Item:
    for clean, text, changed in _TEXTS:
        if changed in row:
            return Item(0, row["method"], row.get("row_id") or row["task_id"], row[clean], row[text])
    raise UsageError(f"{file} is no training or test set of raysweep; make one with `raysweep sets CONFIG --out DIR`")


def _page(items: Sequence[Item]) -> str:
    from jinja2 import Environment, StrictUndefined

    source = files(__package__).joinpath("sheet.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    return template.render(items=items)
