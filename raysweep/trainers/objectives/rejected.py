"""Encodes rows with a response and a rejected one, and marks the tokens in which the two differ."""

from __future__ import annotations

from typing import Any, Literal

from raysweep.records import TrainingRow
from raysweep.trainers.base import Objective, Recipe
from raysweep.trainers.objectives.differences import marks
from raysweep.trainers.objectives.responses import EncodedResponse, encode_response

Granularity = Literal["hybrid", "line", "token"]
"""What marks a token: its line, its own characters, or both, whose marks are added."""


def encode_both(row: TrainingRow, tokenizer: Any, recipe: Recipe) -> tuple[EncodedResponse, EncodedResponse] | str:
    """Return a row's response and rejected response, encoded; or in words why the row can't be used."""
    if row.rejected is None:
        return "no rejected response"
    response = encode_response(row, row.output, tokenizer, recipe)
    rejected = encode_response(row, row.rejected, tokenizer, recipe)
    if not response.start or not rejected.start:
        return "no prompt"
    if len(response.ids) > recipe.max_tokens:
        return f"over {recipe.max_tokens} tokens"
    if len(rejected.ids) > recipe.max_tokens:
        return f"rejected response over {recipe.max_tokens} tokens"
    return response, rejected


class Comparing(Objective):
    """An objective that compares the response of each row with a rejected one."""

    prefers = True

    def why_dropped(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> str:
        """Return in words why a row can't be used; empty if it can."""
        both = encode_both(row, tokenizer, recipe)
        return both if isinstance(both, str) else ""


def token_marks(
    row: TrainingRow, both: tuple[EncodedResponse, EncodedResponse], granularity: Granularity
) -> tuple[list[int], list[int]]:
    """Return the marks of each token of the encoded response and rejected response: 0, 1, or 2 where they are added."""
    assert row.rejected is not None
    sides = []
    for encoded, side in zip(both, marks(row.output, row.rejected), strict=True):
        by_line, by_character = side.of_tokens(encoded.spans)
        chosen = {"line": by_line, "token": by_character, "hybrid": by_line.astype(int) + by_character}[granularity]
        sides.append([int(mark) for mark in chosen])
    return sides[0], sides[1]
