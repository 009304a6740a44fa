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
from raysweep.training_sets.pair_filters import Variant

VERSION = 1
"""Raise it whenever the same row and seed give another rejected response."""
_BLOCK = re.compile(
    r"^([ \t]*)(```|~~~)[ \t]*(?:(?i:python3?|py))?[ \t]*\r?\n(.*?)^\1\2[ \t]*\r?$", re.DOTALL | re.MULTILINE
)
_FENCE = re.compile(r"^[ \t]*(?:```|~~~)", re.MULTILINE)


def variants(row: SourceRow, seed: int) -> Iterator[Variant]:
    """Yield a row's changed responses in an order that seed and row decide; none where it has no Python code.

    Raises:
        SyntaxError: the code isn't Python, or too deep for Python's parser.
    """
    start, end = _code_of(row)
    before = row.instruction if row.entry_point else ""
    code = before + row.output[start:end]
    try:
        changes = drawn_mutations(code, len(before), python_rng(seed, "rejected", row.row_id))
        first = list(islice(changes, 1))  # the code is parsed now
    except (ValueError, RecursionError) as error:  # such as of a null byte
        raise SyntaxError(str(error)) from None
    for change in chain(first, changes):
        changed = change.of(code)[len(before) :]
        yield Variant(row.output[:start] + changed + row.output[end:], change.operator)


def has_python(row: SourceRow) -> bool:
    """Return whether a row's response has Python code that can be changed, or is such code."""
    try:
        return next(variants(row, 0), None) is not None
    except SyntaxError:
        return False


def _code_of(row: SourceRow) -> tuple[int, int]:
    """Return where the code stands in a row's response: its first character, and the one after its last."""
    if row.entry_point or not _FENCE.search(row.output):
        return 0, len(row.output)
    blocks = list(_BLOCK.finditer(row.output))
    if len(blocks) != 1 or len(_FENCE.findall(row.output)) != 2:
        raise SyntaxError("the response has several blocks of code, or none of Python")
    return blocks[0].span(3)
