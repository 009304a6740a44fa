"""Calls a model without a cache: all of a text again for each token, which is right for every causal model, and slow.

Shorter rows are filled up after their ends, where nothing that counts can see it: a causal model's logits depend on no
token that comes later. So neither masks nor padding need to be understood by the model.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.generators.caches.base import Cache, Latest, Read, Way, left_pad, stacked
from raysweep.generators.patches import Variants
from raysweep.models.whole_texts import bare, forget, whole_pass

if TYPE_CHECKING:
    import torch

NEEDED_BY = frozenset({"recurrent_gemma", "rwkv", "minimax", "openai-gpt", "reformer", "transfo-xl", "xlm", "xlnet"})
"""Model types that no way with a cache is right for: the first keeps its state in its modules, the second one's code
takes one row at a time only, the third one's cache is of yet another kind, and the others take none of a known kind."""


class Texts(Cache):
    """The tokens themselves, (rows, tokens); a shorter row begins with columns that its mask leaves out."""

    forgets = True

    def __init__(self, ids: torch.Tensor) -> None:
        self.ids = ids

    @override
    def chosen(self, rows: torch.Tensor, start: int = 0) -> Texts:
        return Texts(self.ids[rows, start:])

    @override
    def joined(self, other: Texts) -> Texts:
        return Texts(stacked(self.ids, other.ids))

    @override
    def forget(self) -> None:
        self.ids = self.ids[:, :-1]


class WithoutCache(Way):
    """Calls a model with whole texts."""

    has_cache = False

    def __init__(self, network: Any) -> None:
        super().__init__(network)
        self._takes = frozenset(inspect.signature(bare(network).forward).parameters)
        self._ends: torch.Tensor | None = None  # (rows,), counted from the last column, of the texts of a call

    @override
    def read(self, prompts: Sequence[Sequence[int]], variants: Variants = None) -> Read:
        ids, mask = (tensor.to(self.device) for tensor in left_pad(prompts))
        return Read(Texts(ids), mask, self._logits(ids, mask, variants))

    @override
    def step(self, cache: Any, latest: Latest) -> torch.Tensor:
        import torch

        cache.ids = torch.cat([cache.ids, latest.tokens[:, None]], dim=-1)
        return self._logits(cache.ids, latest.mask, latest.variants)

    @override
    def last(self, hidden: torch.Tensor) -> torch.Tensor:
        if self._ends is None:
            return hidden
        return hidden.gather(1, (hidden.shape[1] + self._ends)[:, None, None].expand(-1, 1, hidden.shape[2]))

    def _logits(self, ids: torch.Tensor, mask: torch.Tensor, variants: Variants) -> torch.Tensor:
        """Return the logits after texts that end at the last column, (rows, vocabulary)."""
        import torch

        lengths, width = mask.sum(dim=-1), ids.shape[1]
        columns = torch.arange(width, device=self.device)
        positions = torch.minimum(columns, lengths[:, None] - 1)  # those of the last token again after the end
        asked = {
            "input_ids": ids.gather(1, positions + (width - lengths)[:, None]),
            "attention_mask": torch.ones_like(mask),
            "position_ids": positions.clamp(0, self.last_position),
        }
        self._ends = lengths - 1 - width
        forget(self.network)
        places = columns.masked_fill(columns >= lengths[:, None], -1)
        try:
            with self.patched(variants, places, reads_prompts=True):
                logits: torch.Tensor = whole_pass(
                    self.network, **{name: value for name, value in asked.items() if name in self._takes}
                ).logits[:, -1]
        finally:
            self._ends = None
            forget(self.network)
        return logits
