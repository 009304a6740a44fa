"""Rated sheets of `raysweep audit`: the texts that raters judged, and their answers.

A sheet's folder has a key, which records the method, the row and both texts of each item, and beside it one CSV file of
answers for each rater.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from raysweep.errors import UsageError
from raysweep.records import RatedTexts
from raysweep.rows.csv_files import stream_csv_rows

TEXTS, PAIRS = "texts", "pairs"
"""What a sheet shows: texts before and after a perturbation, or responses beside their rejected ones."""
QUESTIONS = {TEXTS: ("same_task", "readable"), PAIRS: ("similar", "wrong")}
KEY, SHEET = "key.json", "sheet.csv"
_YES, _NO = ("y", "yes", "1", "true"), ("n", "no", "0", "false")
Answers = Mapping[int, Mapping[str, bool]]
"""One rater's answers: item id -> question -> yes or no."""


@dataclass(frozen=True)
class SheetItem:
    """Two texts to judge. `id`: its number on the sheet, from 1; `row_id`: the id of the training row or the problem.

    Of `kind` pairs, `clean` is the response, `text` the rejected one, `task` their instruction, and `method` how the
    rejected one was made.
    """

    id: int
    method: str
    row_id: str
    clean: str
    text: str
    kind: str = TEXTS
    task: str = ""


def read_key(folder: Path) -> list[SheetItem]:
    """Return the items of a sheet, at least one; raise UsageError if the folder has no key or an empty one."""
    try:
        items = [SheetItem(**item) for item in json.loads((folder / KEY).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        items = []
    if not items:
        raise UsageError(f"{folder} has no {KEY} of a sheet; give the folder that `raysweep audit SET --out` wrote")
    return items


def questions_of(items: Sequence[SheetItem]) -> tuple[str, ...]:
    return QUESTIONS[items[0].kind]


def read_answers(path: Path, items: Sequence[SheetItem]) -> dict[int, Mapping[str, bool]]:
    """Return one rater's answers by item id.

    Raises:
        UsageError: the file can't be read, or an answer is missing, given twice, or neither yes nor no.
    """
    answers: dict[int, Mapping[str, bool]] = {}
    asked = questions_of(items)
    if not path.exists():
        raise UsageError(f"{path} doesn't exist; give a rater's CSV file, a filled-in copy of {SHEET}")
    for row in stream_csv_rows(path):
        location, fields = row.place, row.fields
        if not fields.get("id", "").isdigit() or int(fields["id"]) in answers:
            raise UsageError(
                f"{location}: id {fields.get('id')!r} is not a number or appears twice; keep the sheet's ids"
            )
        answers[int(fields["id"])] = {question: _answer(fields.get(question), question, location) for question in asked}
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


def is_valid(item: int, answers: Mapping[str, Answers]) -> bool:
    """Return True if a majority of raters answered yes to all questions on an item."""
    votes = [all(by_rater[item].values()) for by_rater in answers.values()]
    return 2 * sum(votes) > len(votes)


def answer_files(path: Path) -> list[Path]:
    """Return the files of answers that a path names: the file itself, or those in a sheet's folder but the blank one.

    Raises:
        UsageError: there is no such file, or the folder has no answers.
    """
    if path.is_dir():
        files = sorted(file for file in path.glob("*.csv") if file.name != SHEET)
        if not files:
            raise UsageError(f"{path} has no answers of a rater beside {SHEET}; give the CSV file of one")
        return files
    if not path.is_file():
        raise UsageError(f"{path} doesn't exist; give a rater's CSV file that lies beside the {KEY} of its sheet")
    return [path]


def read_rated(path: Path) -> RatedTexts:
    """Return the judged texts of a sheet.

    Args:
        path: a rater's CSV file in the sheet's folder, or the folder, for the majority of all raters there.

    Raises:
        UsageError: the path has no answers, its folder has no key, or an answer is missing or unreadable.
    """
    files = answer_files(path)
    items = read_key(files[0].parent)
    if items[0].kind != TEXTS:
        raise UsageError(f"{files[0].parent} is a sheet of rejected responses; give one of perturbed texts")
    answers = read_raters(files, items)
    return {(item.row_id, item.text): is_valid(item.id, answers) for item in items}
