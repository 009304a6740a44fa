"""Makes rejected responses of rows: their own responses with one change of the Python code in them.

The code is the response itself where the row is a prompt in HumanEval's form, the one fenced block of Python in an
answer, or an answer that is Python as a whole. All else of the response stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, islice

from raysweep.problems.mutants import drawn_mutations
from raysweep.records import SourceRow
from raysweep.seeding import python_rng
from raysweep.training_sets.rejected.pair_filters import Variant

VERSION = 1
"""Raise it whenever the same row and seed give another rejected response."""
_BLOCK = re.compile(
    r"^([ \t]*)(`{3,}|~{3,})[ \t]*(?:(?i:python3?|py))?[ \t]*\r?\n(.*?)^\1\2[ \t]*\r?$", re.DOTALL | re.MULTILINE
)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


def variants(row: SourceRow, seed: int) -> Iterator[Variant]:
    """Yield a row's changed responses in an order that seed and row decide; none where it has no Python code.

    Raises:
        SyntaxError: the code isn't Python, or too deep for Python's parser.
    """
    places = _code_of(row)
    before = row.instruction if row.entry_point else ""
    code = before + "".join(row.output[place] for place in places)
    places = [*places, places[-1] + 1 if places else 0]
    try:
        changes = drawn_mutations(code, len(before), python_rng(seed, "rejected", row.row_id))
        first = list(islice(changes, 1))  # the code is parsed now
    except (ValueError, RecursionError) as error:  # such as of a null byte
        raise SyntaxError(str(error)) from None
    for change in chain(first, changes):
        start, end = (places[at - len(before)] for at in (change.start, change.end))
        yield Variant(row.output[:start] + change.replacement + row.output[end:], change.operator)


def has_python(row: SourceRow) -> bool:
    """Return whether a row's response has Python code that can be changed, or is such code."""
    try:
        return next(variants(row, 0), None) is not None
    except SyntaxError:
        return False


def _code_of(row: SourceRow) -> list[int]:
    """Return where each character of the code stands in a row's response, without the indentation of its block."""
    if row.entry_point or not _FENCE.search(row.output):
        return list(range(len(row.output)))
    blocks = list(_BLOCK.finditer(row.output))
    outside = [row.output[: blocks[0].start()], row.output[blocks[0].end() :]] if len(blocks) == 1 else []
    if not outside or any(map(_FENCE.search, outside)):
        raise SyntaxError("the response has several blocks of code, or none of Python")
    (start, end), indent = blocks[0].span(3), len(blocks[0][1])
    indentation = re.finditer(rf"^[ \t]{{0,{indent}}}", row.output[start:end], re.MULTILINE)
    left_out = {start + at for found in indentation for at in range(*found.span())}
    return [at for at in range(start, end) if at not in left_out]
