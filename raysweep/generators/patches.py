"""Patches: what acts on the states of a model while it reads and writes some of its rows.

A row may have a variant, which says who patches it and how, beside its prompt. Rows of one prompt that differ in their
variants are read apart, in one call of the model if there is room, and each is written with what was read for it. The
patcher is told of each call what it reads, since rows are sorted, cut into calls, padded and dropped as they end.
Texts of patched rows are no completions of the model, and enter no pool of completions.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class RowVariant:
    """How a row is patched. `name`: what its patcher knows it by, such as the number of a block."""

    patcher: Patcher
    name: Hashable


Variants = Sequence[RowVariant | None] | None
"""The variants of some rows, in their order; None in the place of one: it isn't patched, and of all: none is."""


@dataclass(frozen=True)
class Reading:
    """One call of a model: which tokens of which rows it reads.

    Attributes:
        variants: of the rows, in the order of the call. They may be another patcher's, or None.
        positions: (rows, tokens), the place of each token in its row's text, from 0; -1: it is padding.
        reads_prompts: False if all tokens were written by the model, so that the call reads no prompt.
    """

    variants: Sequence[RowVariant | None]
    positions: torch.Tensor
    reads_prompts: bool


class Patcher(ABC):
    """Patches the rows of its variants. Each forward pass of a model that has such rows runs in a context of its own.

    In one call of the generator a prompt may be read more than once, such as after memory ran out, and a model without
    a cache reads all of a text again for each token. So what happens to a token must depend on its variant and position
    alone. Rows of other variants stay as they are.
    """

    @abstractmethod
    def around(self, network: Any, reading: Reading) -> AbstractContextManager[None]:
        """Return a context in which the network is called once, such as one with hooks on its modules."""


@contextlib.contextmanager
def patched(network: Any, variants: Sequence[RowVariant | None], positions: Any, reads_prompts: bool) -> Iterator[None]:
    """Have each patcher of some rows act in the block, which calls the network once; see `Reading`."""
    with contextlib.ExitStack() as stack:
        for patcher in dict.fromkeys(variant.patcher for variant in variants if variant is not None):
            stack.enter_context(patcher.around(network, Reading(variants, positions, reads_prompts)))
        yield


def variants_of(variants: Sequence[RowVariant | None]) -> Variants:
    return variants if any(variant is not None for variant in variants) else None
