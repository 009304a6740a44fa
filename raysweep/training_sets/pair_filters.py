"""Leaves out rejected responses that are no near misses of the response: equal, unlike, too long, or without code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raysweep.records import SourceRow

TOKEN_CHARACTERS = 3.2
"""Characters of a token, about: code models' tokenizers have 2.8 to 3.6 on instructions and code."""
TokenCount = Callable[[str], float]
"""Returns how many tokens a text has."""


@dataclass(frozen=True)
class Variant:
    """A response that may become a row's rejected one.

    `operator`: how it came about, in words. `lacks_fence`: a teacher wrote no block of code where the response has one.
    `is_cut`: a teacher's answer ended at its most tokens.
    """

    text: str
    operator: str
    lacks_fence: bool = False
    is_cut: bool = False


@dataclass(frozen=True)
class PairFilters:
    """Which rejected responses are left out. A text without any character but white space always is.

    `equal`: those that only differ in white space. `similarity`: those that have a smaller share of their characters in
    common with the response, by rapidfuzz's `Indel.normalized_similarity`; 0: none. `tokens`: those that are longer
    together with their prompt, and answers that ended at their most tokens; 0: none. `fence`: those that lack one.
    """

    equal: bool = True
    similarity: float = 0.5
    tokens: int = 1024
    fence: bool = True

    def reason_against(self, row: SourceRow, variant: Variant, tokens_of: TokenCount) -> str:
        """Return in words why a variant of a row's response is left out; empty if it stays."""
        from rapidfuzz.distance import Indel

        if not variant.text.strip():
            return "no text"
        if self.fence and variant.lacks_fence:
            return "no code fence"
        if self.equal and variant.text.split() == row.output.split():
            return "equal to the response"
        if self.tokens and variant.is_cut:
            return "cut at the answer's most tokens"
        prompt = "".join((row.system, *row.history, row.instruction, row.input))
        least = sum(len(text.encode(errors="replace")) for text in (prompt, variant.text))  # a token has a byte
        if least > self.tokens > 0 and tokens_of(prompt) + tokens_of(variant.text) > self.tokens:
            return f"longer than {self.tokens:,} tokens with its prompt"
        if self.similarity and Indel.normalized_similarity(variant.text, row.output) < self.similarity:
            return f"less similar than {self.similarity:g}"
        return ""


def tokens_by(tokenizer: Any) -> TokenCount:
    """Return what counts tokens: a tokenizer's, without special tokens, or about those of any one if it is None."""
    if tokenizer is None:
        return lambda text: len(text) / TOKEN_CHARACTERS
    return lambda text: len(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
