"""What a model remembers of rows, and how it is called with that: the contract of all ways.

A model writes into the cache that it is called with. So a cache belongs to one set of rows, what makes a cache of
others copies, and a prompt that later rows begin with keeps its own out of reach.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from raysweep.generators.caches.long_rope import frequencies_by_row, longest_text, switches_after
from raysweep.generators.patches import Variants, patched

if TYPE_CHECKING:
    import torch


class Cache(ABC):
    """What a model needs of the tokens of some rows. All rows end at the same column."""

    forgets = False
    """Whether it can `forget`."""

    @abstractmethod
    def chosen(self, rows: torch.Tensor, start: int = 0) -> Self:
        """Return a copy with some rows, in this order, repeated ones too, from the column `start` on."""

    @abstractmethod
    def joined(self, other: Self) -> Self:
        """Return a copy with the rows of both; the narrower one gets empty columns at its start."""

    def reordered(self, rows: torch.Tensor, newest: int) -> Self:
        """Return a cache in which each row is that of another one of its prompt; it may be this one, changed.

        Args:
            rows: the numbers of these other ones.
            newest: the number of columns at the end in which rows of a prompt may differ.
        """
        return self.chosen(rows)

    def forget(self) -> None:
        """Leave out the newest column, as if the model had not been shown these tokens."""
        raise NotImplementedError


@dataclass
class Read:
    """Prompts that a model has read. `mask`: (rows, tokens), 0 where a row has none; `logits`: (rows, vocabulary)."""

    cache: Cache
    mask: torch.Tensor
    logits: torch.Tensor

    def chosen(self, rows: torch.Tensor, start: int = 0) -> Read:
        """Return a copy of some rows; see `Cache.chosen`."""
        return Read(self.cache.chosen(rows, start), self.mask[rows, start:], self.logits[rows])


@dataclass(frozen=True)
class Latest:
    """The latest tokens of some rows, and their `positions`, each (rows,).

    `mask`: (rows, tokens), the latest ones included. `padded`: whether it has zeros. `variants`: of the rows.
    """

    mask: torch.Tensor
    tokens: torch.Tensor
    positions: torch.Tensor
    padded: bool
    variants: Variants = None


class KeptPrompt:
    """A prompt that was read, for rows that begin later: nothing gets the cache itself, into which a model would write.

    Args:
        read: prompts.
        row: the prompt's.
    """

    def __init__(self, read: Read, row: int) -> None:
        import torch

        start = read.mask.shape[1] - int(read.mask[row].sum())
        self._read = read.chosen(torch.tensor([row], device=read.mask.device), start)

    def begun(self, rows: int) -> Read:
        """Return what so many rows begin with, which is theirs."""
        return self._read.chosen(self._read.mask.new_zeros(rows))


class Way(ABC):
    """Computes the logits of the tokens that come next, with a cache of its kind.

    Args:
        network: a model of transformers, or one with an adapter of PEFT's.
    """

    has_cache = True
    """Whether a token costs as much as the first one, since what was computed for the others is kept."""
    joins = True
    """Whether rows may begin beside rows of which some tokens are written."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.device = network.get_output_embeddings().weight.device
        self.switches_after, longest = switches_after(network), longest_text(network)
        self.last_position = None if longest is None else longest - 1  # of a text's last token; None: no limit

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """Have the model in evaluation mode for the block, and compute logits for the last tokens only."""
        head, was_training = self.network.get_output_embeddings(), self.network.training
        hook = head.register_forward_pre_hook(lambda _, args: (self.last(args[0]), *args[1:]))
        self.network.eval()
        try:
            with frequencies_by_row(self.network, self.switches_after):
                yield
        finally:
            hook.remove()
            self.network.train(was_training)

    @abstractmethod
    def read(self, prompts: Sequence[Sequence[int]], variants: Variants = None) -> Read:
        """Return what a model knows after some prompts, each of which has a token at least; `variants`: theirs."""

    @abstractmethod
    def step(self, cache: Cache, latest: Latest) -> torch.Tensor:
        """Show each row its latest token, and return the logits of the next one, (rows, vocabulary).

        `cache`: of the rows; the tokens are added to it.
        """

    def patched(
        self, variants: Variants, positions: torch.Tensor, *, reads_prompts: bool
    ) -> AbstractContextManager[None]:
        """Return a context for one call of the model, in which rows with variants are patched; see `Reading`."""
        if variants is None:
            return contextlib.nullcontext()
        return patched(self.network, variants, positions, reads_prompts)

    def last(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the last tokens' part, (rows, 1, width), of what the output layer gets in a call."""
        return hidden[:, -1:]


def stacked(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return the rows of two tables, (rows, tokens), that end at the same column; the narrower gets zeros before it."""
    import torch

    width = max(one.shape[1], other.shape[1])
    pad = torch.nn.functional.pad
    return torch.cat([pad(table, (width - table.shape[1], 0)) for table in (one, other)])


def left_pad(prompts: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (rows, tokens) ids and mask, padded on the left so that all rows end at the same position."""
    import torch

    width = max(len(prompt) for prompt in prompts)
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    assert bool(mask[:, -1].all()), "generation needs left padding"
    return ids, mask
