"""Pairs to show, also as an HTML page: responses cut into tokens with their marks, and counts of edge cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError, unwritable_named
from raysweep.prompts.templates import PromptTemplate
from raysweep.rows.exported_sets import exported_sets, reason_of, task_of
from raysweep.trainers.objectives.differences import Marks, marks
from raysweep.trainers.objectives.responses import encode_responses
from raysweep.units import count

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class MarkedToken:
    """A token's characters and its mark: 0, 1 (its line differs) or 2 (its own characters do, too)."""

    text: str
    mark: int


@dataclass(frozen=True)
class ShownPair:
    """A pair. `reason`: how the rejected response was made; `similarity`: from 0 to 1, as the filters count it."""

    row_id: str
    task: str
    reason: str
    similarity: float
    response: Sequence[MarkedToken]
    rejected: Sequence[MarkedToken]


@dataclass(frozen=True)
class PairCounts:
    """How many pairs a set has, and of how many FAIT's weights follow its rules for edge cases."""

    rows: int  # training rows without any pair
    pairs: int  # distinct ones
    unmarked: int  # whose sides are equal
    response_only: int  # of which this side alone has a line that differs
    rejected_only: int
    response_lines: int  # of which a side has marked lines and no marked character in them, since it only lacks some
    rejected_lines: int

    def in_words(self) -> list[str]:
        lines = [
            (self.rows, "row", "without a rejected response"),
            (self.unmarked, "pair", "without a mark on either side: trained as plain fine-tuning does"),
            (self.response_only, "pair", "with marks in the response only: W is alpha"),
            (self.rejected_only, "pair", "with marks in the rejected response only: W is alpha, and no token has it"),
            (self.response_lines, "pair", "with marked lines and no marked character in the response"),
            (self.rejected_lines, "pair", "with marked lines and no marked character in the rejected response"),
        ]
        return [count(self.pairs, "preference pair"), *(f"{count(n, what)} {which}" for n, what, which in lines if n)]


def read_pairs(
    path: Path, n: int, tokenizer: Any = None, template: str = "", system: str = ""
) -> tuple[list[ShownPair], PairCounts]:
    """Return the first pairs of exported training sets, and the counts of all.

    `path`: a Parquet file of `raysweep sets --out`, or a folder of them; sets share the pairs of their source.
    `tokenizer`: cuts the responses into tokens, after their prompt; None: each character is a piece.

    Raises:
        UsageError: the path can't be read, or no row has a rejected response.
    """
    rows, without = _distinct(path)
    if not rows:
        raise UsageError(f"{path}: no row has a rejected response; give `training.source` of the config `rejected`")
    sides = [marks(row["output"], row["rejected"]) for row in rows]
    lines = [tuple(bool(side.lines.any()) for side in both) for both in sides]
    counts = PairCounts(
        without,
        len(rows),
        lines.count((False, False)),
        lines.count((True, False)),
        lines.count((False, True)),
        *(sum(bool(both[at].lines.any() and not both[at].characters.any()) for both in sides) for at in (0, 1)),
    )
    filled = PromptTemplate(template, system, tokenizer)
    return [_shown(row, both, filled) for row, both in zip(rows[:n], sides[:n], strict=True)], counts


def _distinct(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return one row for each pair, in the order of the files, and the number of rows without one."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    without = set()
    for _, of_file in exported_sets(path):
        for row in (one for one in of_file if "source_id" in one):
            source_row = (row["source_id"], row["clean_instruction"], row["output"])  # sources may share ids
            if row.get("rejected") is not None:
                rows.setdefault((*source_row, row["rejected"]), row)
            else:
                without.add(source_row)
    return list(rows.values()), len(without)


def _shown(row: Mapping[str, Any], both: tuple[Marks, Marks], template: PromptTemplate) -> ShownPair:
    from rapidfuzz.distance import Indel

    spans: list[np.ndarray | None] = [None, None]
    if template.tokenizer is not None:
        system, history = row.get("system") or "", row.get("history") or ()  # older exports have none
        prompt = template.fill(row["instruction"], row["input"], system=system, history=history)
        encoded = encode_responses([(prompt, side.text) for side in both], template)
        spans = [one.spans for one in encoded]
    pieces = [list(_pieces(side, cut)) for side, cut in zip(both, spans, strict=True)]
    similarity = Indel.normalized_similarity(row["output"], row["rejected"])
    return ShownPair(row["source_id"], task_of(row), reason_of(row), similarity, *pieces)


def _pieces(side: Marks, spans: np.ndarray | None) -> Iterator[MarkedToken]:
    """Yield a text's tokens. A character of several tokens, of which each has some of its bytes, is in one piece."""
    import numpy as np

    size = len(side.text)
    if spans is None:
        spans = np.stack([np.arange(size), np.arange(size) + 1], axis=1)
    spans = spans.clip(0, size)
    by_line, by_characters = side.of_tokens(spans)
    of_characters = np.zeros(size, np.int8)
    for (first, last), mark in zip(spans.tolist(), (by_line.astype(np.int8) + by_characters).tolist(), strict=True):
        of_characters[first:last] = np.maximum(of_characters[first:last], mark)
    starts = sorted({0, size, *spans[spans[:, 0] < spans[:, 1], 0].tolist()})
    for first, last in pairwise(starts):
        yield MarkedToken(side.text[first:last], int(of_characters[first:last].max()))


def write_page(pairs: Sequence[ShownPair], counts: PairCounts, path: Path) -> None:
    """Write the page; raise UsageError if the file can't be written."""
    from jinja2 import Environment, StrictUndefined

    source = files(__package__).joinpath("pairs.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(source)
    with unwritable_named(f"--out {path}", "give another file"):
        path.write_text(template.render(pairs=pairs, counts=counts.in_words()), encoding="utf-8")
