"""A cache of keys and values for rows that come and go while others are being written.

transformers' own cache copies all of it for each new token. This one has room for more tokens, and rows can be chosen,
repeated and joined. All rows end at the same column; a shorter one begins with columns that its mask leaves out.
A model writes into the cache that it gets, so a cache belongs to one set of rows; all functions here return copies, and
what later rows begin with is kept out of reach (`KeptPrompt`).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ROOM = 32
"""Columns that are reserved for new tokens at a time."""


def new_cache() -> Any:
    """Return an empty cache for a model's forward pass."""
    from transformers.cache_utils import Cache

    return Cache(layer_class_to_replicate=_layer_class())


def chosen(cache: Any, rows: torch.Tensor, start: int = 0) -> Any:
    """Return a cache of some rows, in this order, repeated ones too, from the column `start` on."""
    return _cache_of([(layer.keys[rows, :, start:], layer.values[rows, :, start:]) for layer in cache.layers])


class KeptPrompt:
    """A prompt that was read, for rows that begin later. Its cache never leaves it, since a model writes into caches.

    Args:
        cache: of the forward pass that read it.
        row: of the cache and of `logits`.
        start: the column in which the prompt begins.
        logits: of the next token, (rows, vocabulary).
    """

    def __init__(self, cache: Any, row: int, start: int, logits: torch.Tensor) -> None:
        import torch

        self._cache = chosen(cache, torch.tensor([row], device=logits.device), start)
        self._logits = logits[row].clone()  # a view would keep those of all rows

    def begun(self, rows: int) -> tuple[Any, torch.Tensor]:
        """Return what so many rows begin with: a cache of their own, and logits, (rows, vocabulary)."""
        import torch

        at = torch.zeros(rows, dtype=torch.long, device=self._logits.device)
        return chosen(self._cache, at), self._logits.expand(rows, -1)


def joined(one: Any, other: Any) -> Any:
    """Return a cache with the rows of both. The narrower one gets columns of zeros at its start."""
    import torch

    pairs = []
    for ours, theirs in zip(one.layers, other.layers, strict=True):
        width = max(ours.keys.shape[2], theirs.keys.shape[2])
        both = ((ours.keys, theirs.keys), (ours.values, theirs.values))
        pairs.append(tuple(torch.cat([widened(part, width) for part in parts]) for parts in both))
    return _cache_of(pairs)


def widened(states: torch.Tensor, width: int) -> torch.Tensor:
    """Return (rows, heads, `width`, features): zeros, then the given states."""
    import torch

    return torch.nn.functional.pad(states, (0, 0, width - states.shape[2], 0))


def _cache_of(pairs: Sequence[tuple[torch.Tensor, ...]]) -> Any:
    cache = new_cache()
    for number, (keys, values) in enumerate(pairs):
        cache.update(keys, values, number)
    return cache


@functools.cache
def _layer_class() -> Any:
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """One layer's keys and values, (rows, heads, tokens, features): views of larger tensors."""

        keys: Any
        values: Any

        def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[Any, Any]:
            """Add columns; return all keys and values."""
            start = self.keys.shape[2] if self.is_initialized else 0
            end = start + key_states.shape[2]
            if not self.is_initialized:
                self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
                self._buffers = (_with_room(key_states, 0), _with_room(value_states, 0))
            elif end > self._buffers[0].shape[2]:
                self._buffers = (_with_room(self.keys, end - start), _with_room(self.values, end - start))
            for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
                buffer[:, :, start:end] = states
            self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
            return self.keys, self.values

    return RoomyLayer


def _with_room(states: torch.Tensor, more: int) -> torch.Tensor:
    """Return a larger tensor that begins with the given states, with room for `more` columns and some."""
    rows, heads, width, features = states.shape
    buffer = states.new_empty(rows, heads, width + more + ROOM, features)
    buffer[:, :, :width] = states
    return buffer
