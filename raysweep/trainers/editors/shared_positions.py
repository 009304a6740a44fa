"""Says which positions of a perturbed prompt get the states of which ones of the original: the scopes of a patch.

Two prompts share their last positions, as many as the shorter one has. A scope chooses some of these: all of them, the
last one, those whose tokens meet characters that differ (`diff_span`), or those and k positions around (`window:k`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.errors import UsageError
from raysweep.records import PromptPair

SCOPES = r"all|last|diff_span|window:\d+"
"""Pattern of the scopes' names."""
CHANGED = ("diff_span", "window")
"""Scopes that depend on which characters differ."""


@dataclass(frozen=True)
class Shared:
    """The positions that two prompts share. `original`, `perturbed`: numbers of their tokens."""

    original: int
    perturbed: int

    @property
    def shift(self) -> int:
        """What the original's position of a shared token has beyond the perturbed prompt's."""
        return self.original - self.perturbed

    @property
    def positions(self) -> range:
        """Those in the perturbed prompt."""
        return range(max(0, -self.shift), self.perturbed)


def sources(scopes: Sequence[str], pair: PromptPair, tokenizer: Any, shared: Shared) -> dict[str, list[int]]:
    """Return by scope, for each position of the perturbed prompt, the original's whose states it gets; -1: none.

    Raises:
        UsageError: the tokenizer doesn't tell which characters a token covers, where a scope depends on that.
    """
    chosen: dict[str, set[int]] = {"all": set(shared.positions), "last": {shared.perturbed - 1}}
    if any(scope.partition(":")[0] in CHANGED for scope in scopes):
        changed = _changed_positions(pair, tokenizer, shared)
        for scope in scopes:
            name, _, width = scope.partition(":")
            if name in CHANGED:
                near = int(width or 0)
                around = {one + step for one in changed for step in range(-near, near + 1)}
                chosen[scope] = around & chosen["all"]
    everything = range(shared.perturbed)
    return {scope: [place + shared.shift if place in chosen[scope] else -1 for place in everything] for scope in scopes}


def _changed_positions(pair: PromptPair, tokenizer: Any, shared: Shared) -> set[int]:
    """Return the shared positions at which a token of either prompt meets characters that differ."""
    if not getattr(tokenizer, "is_fast", False):
        raise UsageError(
            f"`positions: {' and '.join(CHANGED)}:k` need a fast tokenizer, which tells the characters of each token, "
            f"and {type(tokenizer).__name__} is none; write all or last"
        )
    in_original, in_perturbed = set[int](), set[int]()  # where characters are missing, the one that follows
    for tag, a, b, c, d in difflib.SequenceMatcher(None, pair.original, pair.perturbed, autojunk=False).get_opcodes():
        if tag != "equal":
            in_original |= set(range(min(a, len(pair.original) - 1), max(a + 1, b)))
            in_perturbed |= set(range(min(c, len(pair.perturbed) - 1), max(c + 1, d)))

    def meeting(text: str, changed: set[int], tokens: int) -> set[int]:
        read: Mapping[str, Any] = tokenizer(text, add_special_tokens=pair.special_tokens, return_offsets_mapping=True)
        spans = read["offset_mapping"][:tokens]
        return {place for place, (start, end) in enumerate(spans) if not changed.isdisjoint(range(start, end))}

    theirs = {place - shared.shift for place in meeting(pair.original, in_original, shared.original)}
    ours = meeting(pair.perturbed, in_perturbed, shared.perturbed)
    return (theirs | ours) & set(shared.positions)
