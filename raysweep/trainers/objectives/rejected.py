"""Encodes rows with a response and a rejected one, and marks the tokens in which the two differ."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from raysweep.errors import Finding, MissingInput, UsageError
from raysweep.prompts.templates import PromptTemplate, training_prompt
from raysweep.records import EncodedPair, TrainingRow
from raysweep.trainers.base import Objective, Recipe
from raysweep.trainers.objectives.differences import NEEDS_RAPIDFUZZ, Marks, marks
from raysweep.trainers.objectives.responses import EncodedResponse, PromptAndResponse, encode_responses

if TYPE_CHECKING:
    import numpy as np

VERSION = 1
"""Raise it whenever the same row and tokenizer give other tokens or marks."""
Granularity = Literal["hybrid", "line", "token"]
"""What marks a token: its line, its own characters, or both, whose marks are added."""
LINE, CHARACTERS = 1, 2
"""The bits of a token's mark in an `EncodedPair`."""


@dataclass(frozen=True)
class Side(PromptAndResponse):
    """One of a pair's responses. `bits`: (tokens,), see `LINE`."""

    bits: np.ndarray

    per_token: ClassVar[tuple[str, ...]] = ("ids", "bits")

    def marks(self, granularity: Granularity) -> list[int]:
        """Return the mark of each token: 0, 1, or 2 where marks are added."""
        by_line, by_characters = self.bits & LINE, self.bits // CHARACTERS
        chosen = {"line": by_line, "token": by_characters, "hybrid": by_line + by_characters}[granularity]
        return [int(mark) for mark in chosen.tolist()]


@dataclass(frozen=True)
class TokenPair:
    """A response and a rejected one; None where the row has none."""

    response: Side
    rejected: Side | None

    def fitted(self, recipe: Recipe) -> TokenPair:
        """Return it with both responses cut at the recipe's `max_tokens`, where its `overlong` says so."""
        return TokenPair(self.response.fitted(recipe), self.rejected and self.rejected.fitted(recipe))

    def unusable(self, max_tokens: int) -> str:
        if self.rejected is None:
            return "no rejected response"
        if why := self.response.unusable(max_tokens):
            return why
        why = self.rejected.unusable(max_tokens)
        return f"rejected response {why}" if why.startswith("over") else why


def token_pairs(rows: Sequence[TrainingRow], template: PromptTemplate, *, marked: bool = True) -> list[TokenPair]:
    """Encode rows by their template's tokenizer, all at once. `marked`: False leaves all marks 0, which is faster."""
    texts: list[tuple[str, str]] = []
    for row in rows:
        prompt = training_prompt(row, template)
        texts += [(prompt, row.output)] if row.rejected is None else [(prompt, row.output), (prompt, row.rejected)]
    encoded: Iterator[EncodedResponse] = iter(encode_responses(texts, template))
    pairs = []
    for row in rows:
        if row.rejected is None:
            pairs.append(TokenPair(_side(next(encoded), None), None))
            continue
        both = marks(row.output, row.rejected) if marked else (None, None)
        sides = [next(encoded), next(encoded)]
        for side, text in zip(sides, (row.output, row.rejected), strict=True) if marked else ():
            if text.strip() and side.start < len(side.ids) - 1 and not side.spans.any():
                raise UsageError(
                    f"row {row.row_id}: the chat template writes {text:.40!r} in another way, so that its marks have "
                    "no place; write the response as the template does, or take an objective without marks"
                )
        pairs.append(TokenPair(*map(_side, sides, both)))
    return pairs


def _side(encoded: EncodedResponse, marked: Marks | None) -> Side:
    import numpy as np

    if marked is None:
        return Side(encoded.ids, encoded.start, np.zeros(len(encoded.ids), np.uint8))
    by_line, by_characters = marked.of_tokens(encoded.spans)
    return Side(encoded.ids, encoded.start, (by_line * LINE + by_characters * CHARACTERS).astype(np.uint8))


def stored_pair(row_id: str, pair: TokenPair) -> EncodedPair:
    import numpy as np

    def ids(side: Side) -> bytes:
        return np.asarray(side.ids, "<i4").tobytes()

    response, rejected = pair.response, pair.rejected
    stored = (row_id, ids(response), response.start, response.bits.tobytes())
    if rejected is None:
        return EncodedPair(*stored)
    return EncodedPair(*stored, ids(rejected), rejected.start, rejected.bits.tobytes())


def pair_of(stored: EncodedPair) -> TokenPair:
    import numpy as np

    def side(ids: bytes, start: int, bits: bytes | None) -> Side:
        return Side(np.frombuffer(ids, "<i4").tolist(), start, np.frombuffer(bits or b"", np.uint8))

    rejected = stored.rejected_ids
    return TokenPair(
        side(stored.ids, stored.start, stored.marks),
        None if rejected is None else side(rejected, stored.rejected_start, stored.rejected_marks),
    )


class Comparing(Objective):
    """An objective that compares the response of each row with a rejected one.

    `reads_marks`: whether it needs the tokens' marks.
    """

    prefers = True
    reads_pairs = True
    reads_marks: ClassVar[bool] = True

    @override
    def check(self, recipe: Recipe) -> Iterator[Finding]:
        if importlib.util.find_spec("rapidfuzz") is None:
            yield "objective", MissingInput(f"`objective: {self.name}` {NEEDS_RAPIDFUZZ}")

    @abstractmethod
    def of_pair(self, pair: TokenPair) -> Mapping[str, list[Any]]:
        """Return what `encode` returns, of a pair whose rejected response is there and whose lengths fit."""

    @override
    def encode(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> Mapping[str, list[Any]] | None:
        """None where a response is missing or unusable (`PromptAndResponse.unusable`)."""
        template = recipe.prompt_template(tokenizer)
        pair = token_pairs([row], template, marked=self.reads_marks)[0].fitted(recipe)
        return None if pair.unusable(recipe.max_tokens) else self.of_pair(pair)

    @override
    def why_dropped(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> str:
        template = recipe.prompt_template(tokenizer)
        return token_pairs([row], template, marked=False)[0].fitted(recipe).unusable(recipe.max_tokens)
