"""The usual cache: keys and values of rows that come and go while others are being written.

transformers' own cache copies all of it for each new token. This one has room for more tokens, and rows can be chosen,
repeated and joined. A row that is shorter than others begins with columns that its mask leaves out.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.generators.caches.base import Cache, Latest, Read, Way, left_pad
from raysweep.generators.patches import Variants
from raysweep.models.loading import FLASH

if TYPE_CHECKING:
    import torch

ROOM = 32
"""Columns that are reserved for new tokens at a time."""
READY_MASK_TYPES = frozenset({"llama", "gpt_bigcode", "codegen"})
"""Model types that accept a ready-made 4-dimensional attention mask. Building it in transformers for each token costs a
third of a small model's time. Other types (sliding windows, ALiBi) need the 2-dimensional mask."""


class KeysAndValues(Cache):
    """Keys and values, (rows, heads, tokens, features), of each layer.

    Args:
        layers: the keys and the values of each layer, which are copied; none: an empty cache.
    """

    forgets = True

    def __init__(self, layers: Sequence[tuple[torch.Tensor, ...]] = ()) -> None:
        from transformers.cache_utils import Cache as TransformersCache

        self.of_model: Any = TransformersCache(layer_class_to_replicate=_layer_class())
        for number, (keys, values) in enumerate(layers):
            self.of_model.update(keys, values, number)

    @override
    def chosen(self, rows: torch.Tensor, start: int = 0) -> KeysAndValues:
        layers = self.of_model.layers
        return KeysAndValues([(layer.keys[rows, :, start:], layer.values[rows, :, start:]) for layer in layers])

    @override
    def joined(self, other: KeysAndValues) -> KeysAndValues:
        import torch

        pairs = []
        for ours, theirs in zip(self.of_model.layers, other.of_model.layers, strict=True):
            width = max(ours.keys.shape[2], theirs.keys.shape[2])
            both = ((ours.keys, theirs.keys), (ours.values, theirs.values))
            pairs.append(tuple(torch.cat([widened(part, width) for part in parts]) for parts in both))
        return KeysAndValues(pairs)

    @override
    def reordered(self, rows: torch.Tensor, newest: int) -> KeysAndValues:
        """What rows of a prompt have in common is not moved."""
        for layer in self.of_model.layers:
            for states in (layer.keys, layer.values):
                states[:, :, -newest:] = states[rows, :, -newest:]
        return self

    @override
    def forget(self) -> None:
        for layer in self.of_model.layers:
            layer.keys, layer.values = layer.keys[:, :, :-1], layer.values[:, :, :-1]


class WithKeysAndValues(Way):
    """Calls a model with `KeysAndValues`, as transformers calls most of them with its cache of keys and values."""

    @override
    def read(self, prompts: Sequence[Sequence[int]], variants: Variants = None) -> Read:
        ids, mask = (tensor.to(self.device) for tensor in left_pad(prompts))
        cache, positions = KeysAndValues(), mask.cumsum(dim=-1) - 1
        with self.patched(variants, positions, reads_prompts=True):
            logits = self.network(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions.clamp(min=0),
                past_key_values=cache.of_model,
                use_cache=True,
            ).logits[:, -1]
        return Read(cache, mask, logits)

    @override
    def step(self, cache: Any, latest: Latest) -> torch.Tensor:
        import torch

        attention: torch.Tensor | None = latest.mask
        dtype = self.network.dtype
        config = self.network.config
        if (
            config.model_type in READY_MASK_TYPES and config._attn_implementation != FLASH
        ):  # (rows, 1, 1, tokens), or nothing to mask
            inverse = 1 - latest.mask[:, None, None, :].to(dtype)
            attention = inverse * torch.finfo(dtype).min if latest.padded else None
        positions = latest.positions[:, None]
        with self.patched(latest.variants, positions, reads_prompts=False):
            logits: torch.Tensor = self.network(
                input_ids=latest.tokens[:, None],
                attention_mask=attention,
                position_ids=positions,
                past_key_values=cache.of_model,
                use_cache=True,
            ).logits[:, -1]
        return logits


def widened(states: torch.Tensor, width: int) -> torch.Tensor:
    """Return (rows, heads, `width`, features): zeros, then the given states."""
    import torch

    return torch.nn.functional.pad(states, (0, 0, width - states.shape[2], 0))


@functools.cache
def _layer_class() -> Any:
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        """One layer's keys and values, (rows, heads, tokens, features): views of larger tensors."""

        keys: Any
        values: Any

        def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any) -> tuple[Any, Any]:
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
    rows, heads, width, features = states.shape
    buffer = states.new_empty(rows, heads, width + more + ROOM, features)
    buffer[:, :, :width] = states
    return buffer
