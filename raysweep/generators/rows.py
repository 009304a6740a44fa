"""Turns requests into rows of tokens, and written rows into completions."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raysweep.generators.base import EOS, LENGTH, cut_at_stop
from raysweep.generators.patches import RowVariant
from raysweep.hashing import text_sha
from raysweep.models.traits import Traits
from raysweep.prompts.answers.marks import has_meaning
from raysweep.prompts.repair.styles import prompt_ids
from raysweep.prompts.templates import special_tokens
from raysweep.records import Completion, GenerationRequest


@dataclass
class WrittenRow:
    """A completion being written.

    `budget`: limit on its number of tokens. `ends`: tokens that end it, with their names; `stop`: texts that do.
    `written`: its tokens once it has `ended`; until then it may lack some, see written.py.
    `variant`: how it is patched, if it is. `group`: what it begins and ends together with, if anything.
    """

    request: GenerationRequest
    prompt: list[int]
    budget: int
    ends: Mapping[int, str]
    stop: tuple[str, ...]
    written: list[int] = field(default_factory=list)
    ended: bool = False
    variant: RowVariant | None = None
    group: Any = field(default=None, repr=False, compare=False)

    @property
    def tokens(self) -> int:
        """Tokens of which keys and values may be held for it."""
        return len(self.prompt) + self.budget


class Tokens:
    """Reads and writes rows with one tokenizer.

    Args:
        tokenizer: of transformers.
        positions: most tokens of prompt and completion; None: no limit.
        max_new_tokens: most tokens of a completion.
        traits: of the model, which say where completions end, and whether an encoder reads prompts, as whole texts:
            `positions` are then of each. None: at the tokenizer's end of text alone, and none does.
        longest_prompt: most tokens of a prompt; None: those that `positions` hold.
    """

    def __init__(
        self,
        tokenizer: Any,
        positions: int | None,
        max_new_tokens: int,
        traits: Traits | None = None,
        longest_prompt: int | None = None,
    ) -> None:
        self.positions, self._longest_prompt = positions, longest_prompt
        self._apart = bool(traits and traits.has_encoder)
        self._tokenizer, self._max_new_tokens = tokenizer, max_new_tokens
        self._pieces: dict[int, tuple[str, str]] = {}  # what tokens say alone, and after another one
        self._another = tokenizer("a", add_special_tokens=False)["input_ids"]
        self._may_stop = functools.lru_cache(2**16)(self._may_end_in)
        self._special = special_tokens(tokenizer)
        kept = {number for text, number in self._special.items() if has_meaning(text)}
        self._left_out = set(self._special.values()) - kept if kept else None
        self._ends = dict.fromkeys(traits.ends if traits else (), EOS)
        self._appended = tokenizer.convert_tokens_to_ids(list(traits.after)) if traits else []

    def row(self, request: GenerationRequest, variant: RowVariant | None = None) -> WrittenRow:
        """Return a new row; if the prompt is too long, or leaves no position to write to, it has ended already."""
        (prompt,) = prompt_ids([request.prompt], self._tokenizer, special=request.special_tokens)
        if request.special_tokens and self._appended and not self._apart:
            prompt = prompt[: -len(self._appended)]  # else it would go on after the end of a text
        asked = {self._special[text]: text for text in request.stop if text in self._special}
        ends = {**self._ends, **asked, self._tokenizer.eos_token_id: EOS}
        stop = tuple(text for text in request.stop if text not in self._special)
        budget = min(self._max_new_tokens, self._room(len(prompt)))
        is_long = self._longest_prompt is not None and len(prompt) > self._longest_prompt
        ended = budget <= 0 or not prompt or is_long
        return WrittenRow(request, prompt, budget, ends, stop, ended=ended, variant=variant)

    @property
    def keeps_control_tokens(self) -> bool:
        """Whether texts have some of the tokenizer's control tokens, those with a meaning."""
        return self._left_out is not None

    def _room(self, prompt: int) -> int:
        if self.positions is None:
            return self._max_new_tokens
        if self._apart:
            return self.positions - 1 if prompt <= self.positions else 0  # the decoder begins with a token of its own
        return self.positions - prompt

    def change_of(self, text: str) -> str:
        """Return what a text has become once it was read and written again; empty if nothing but blanks around it."""
        again = self.decoded(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        return "" if again.strip(" ") == text.strip(" ") else again

    def stops(self, row: WrittenRow, token: int) -> bool | None:
        """Return whether a row's text contains a stop string; None: this token, its newest, never completes one of its.

        The whole text is decoded only when the newest tokens contain one. A stop string that this misses costs only
        tokens: at the end the whole text is cut at it.
        """
        stop = row.stop
        if not self._may_stop(stop, token):
            return None
        if not self._may_stop(stop, *row.written[-2:]):
            return False
        newest = self.decoded(row.written[-max(map(len, stop)) - 1 :])
        return any(text in newest for text in stop) and cut_at_stop(self.text(row), stop)[1] is not None

    def _may_end_in(self, stop: tuple[str, ...], *tokens: int) -> bool:
        """Return whether a stop string may end within the last of some tokens.

        What tokens say is taken alone and after another one: alone they may lack a leading blank (SentencePiece). A
        stop string that ends with such a blank, or has a character of several tokens, is looked for at all tokens with
        its last character.
        """
        alone, after = zip(*map(self._said, tokens), strict=True)
        if not any(text[-1] in alone[-1] for text in stop):
            return False
        is_late = any(text[-1] == " " or not text.isascii() for text in stop)
        return is_late or any(_may_end(text, pieces) for text in stop for pieces in (alone, after))

    def _said(self, token: int) -> tuple[str, str]:
        if token not in self._pieces:
            after = self.decoded([*self._another, token])[len(self.decoded(self._another)) :]
            self._pieces[token] = (self.decoded([token]), after)
        return self._pieces[token]

    def text(self, row: WrittenRow) -> str:
        """Decode the written tokens; where they continue the prompt, together with it.

        Alone they may lose a leading blank (SentencePiece). What a decoder beside an encoder writes has one more.
        """
        written = row.written[:-1] if row.written and row.written[-1] in row.ends else row.written
        if self._apart:
            return self.decoded(written)
        return self.decoded(row.prompt + written)[len(self.decoded(row.prompt)) :]

    def decoded(self, ids: Sequence[int]) -> str:
        """Return what ids say, without special tokens, save those with a meaning, such as marks of reasoning.

        Many published tokenizers would also remove blanks before punctuation, which is right for prose alone.
        """
        if self._left_out is None:
            return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        said = [number for number in ids if number not in self._left_out]
        settings = {"clean_up_tokenization_spaces": False, "spaces_between_special_tokens": False}
        return str(self._tokenizer.decode(said, skip_special_tokens=False, **settings))

    def completion(self, row: WrittenRow) -> Completion:
        """Return the completion that a row has become: its text up to the first stop string."""
        text, stop = cut_at_stop(self.text(row), row.stop)
        ended = row.ends.get(row.written[-1], LENGTH) if row.written else LENGTH
        sha = text_sha(row.request.prompt)
        return Completion(row.request.task_id, row.request.sample, text, stop or ended, len(row.written), sha)


def _may_end(text: str, pieces: Sequence[str]) -> bool:
    """Return whether a text may end within the last of some pieces, whatever comes before the first one."""
    whole, before = "".join(pieces), sum(map(len, pieces[:-1]))
    return text in whole or any(whole.startswith(text[start:]) for start in range(1, len(text) - before))
