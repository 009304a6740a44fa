"""Rows that a model writes at the same time, with their state: they come and go, and a prompt's samples begin alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from raysweep.generators.caches.base import Cache, KeptPrompt, stacked
from raysweep.generators.patches import RowVariant, Variants, variants_of
from raysweep.generators.rows import WrittenRow
from raysweep.generators.writing.written import Written

if TYPE_CHECKING:
    import torch


@dataclass
class Prompt:
    """A prompt in one variant, and those of its rows that are not begun.

    `kept`: the prompt as it was read, if some rows are.
    """

    rows: list[WrittenRow]
    kept: KeptPrompt | None = None

    @property
    def together(self) -> int:
        """How many of its rows begin together at least; of a group all do."""
        return 1 if self.rows[0].group is None else len(self.rows)


@dataclass
class Slots:
    """Rows that are written together, with their state; ended ones stay until `without_ended`.

    `mask`: (rows, tokens), 0 where a row has no token. Each (rows,): `positions` of the next tokens; `steps`, how many
    tokens a row got, those after its end too; `tokens`, the latest ones. `draws`: (rows, tokens to write), None if
    greedy. `padded`: whether the mask has zeros. `ahead`: the logits after the latest tokens, (rows, vocabulary), if
    the model was shown them already. `variants`: of the rows.
    """

    written: Written
    cache: Cache
    mask: torch.Tensor
    positions: torch.Tensor
    steps: torch.Tensor
    tokens: torch.Tensor
    draws: torch.Tensor | None
    padded: bool = True
    ahead: torch.Tensor | None = field(init=False, default=None)
    variants: Variants = field(init=False)

    def __post_init__(self) -> None:
        self.variants = variants_of([row.variant for row in self.rows])

    @property
    def rows(self) -> list[WrittenRow]:
        return self.written.rows

    @property
    def live(self) -> list[int]:
        return np.flatnonzero(self.written.live).tolist()

    def without_ended(self) -> Slots | None:
        return self.only(self.live)

    def only(self, numbers: Sequence[int]) -> Slots | None:
        """Return the rows of these numbers, in rising order; None if there are none."""
        if not numbers or len(numbers) == len(self.rows):
            return self if numbers else None
        import torch

        self._go_back()
        keep = torch.tensor(numbers, device=self.mask.device)
        mask = self.mask[keep]
        start = int(mask.any(dim=0).int().argmax())  # columns before it are empty in all rows
        return Slots(
            self.written.only(numbers),
            self.cache.chosen(keep, start),
            mask[:, start:],
            self.positions[keep],
            self.steps[keep],
            self.tokens[keep],
            None if self.draws is None else self.draws[keep],
            not bool(mask[:, start:].all()),
        )

    def joined(self, other: Slots) -> Slots:
        import torch

        self._go_back()
        draws = None if self.draws is None or other.draws is None else torch.cat([self.draws, other.draws])
        return Slots(
            self.written.joined(other.written),
            self.cache.joined(other.cache),
            stacked(self.mask, other.mask),
            torch.cat([self.positions, other.positions]),
            torch.cat([self.steps, other.steps]),
            torch.cat([self.tokens, other.tokens]),
            draws,
            self.padded or other.padded or self.mask.shape[1] != other.mask.shape[1],
        )

    def _go_back(self) -> None:
        """Undo that the model was shown the latest tokens, since it will be shown them beside other rows."""
        if self.ahead is not None:
            self.cache.forget()
            self.mask, self.positions, self.ahead = self.mask[:, :-1], self.positions - 1, None


def by_prompt(rows: Sequence[WrittenRow]) -> deque[Prompt]:
    """Return rows by their prompts, variants and groups, the longest prompt first; their texts begin again."""
    prompts: dict[tuple[tuple[int, ...], RowVariant | None, Any], list[WrittenRow]] = {}
    for row in rows:
        row.written = []
        prompts.setdefault((tuple(row.prompt), row.variant, row.group), []).append(row)
    return deque(Prompt(prompts[key]) for key in sorted(prompts, key=lambda key: -len(key[0])))
