"""The caches that recurrent and hybrid models of transformers bring along: states of a fixed size, and maybe keys too.

Such as those of mamba, jamba or lfm2. Each model makes its cache itself when it reads prompts, as it does in
transformers' `generate`. What is done here is the same for all of them: rows are chosen, repeated and joined in every
tensor that the cache has. Prompts are read together only with others of equal length, since some of these models take
padding for text.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.generators.caches.base import Cache, Latest, Read, Way, stacked
from raysweep.generators.caches.kv_cache import widened
from raysweep.generators.patches import Variants
from raysweep.models.whole_texts import bare

if TYPE_CHECKING:
    import torch

NAMES = ("past_key_values", "cache_params", "state")
"""What models call the cache that they take and return."""
COLUMNS = ("key_cache", "value_cache", "keys", "values")
"""Fields of a cache with tensors that have a column for each token, (rows, heads, tokens, features)."""
FAR = 1_000
"""The place of a token in a cache without columns: beyond all convolutions, whose first tokens are another case."""


class OwnCache(Cache):
    """A cache of a model's own kind.

    Args:
        of_model: an object with tensors in lists, tuples and dictionaries, with a row first, or a list of tensors. A
            tensor that is a field of the object itself has layers first, then rows.
    """

    def __init__(self, of_model: Any) -> None:
        self.of_model = of_model
        self.has_columns = False

        def look(tensors: Sequence[torch.Tensor], _: int, has_columns: bool) -> torch.Tensor:
            self.has_columns |= has_columns
            return tensors[0]

        _combined([of_model], look)

    @override
    def chosen(self, rows: torch.Tensor, start: int = 0) -> OwnCache:
        def choose(tensors: Sequence[torch.Tensor], dim: int, has_columns: bool) -> torch.Tensor:
            states = tensors[0].index_select(dim, rows)
            return states[:, :, start:] if has_columns else states

        return OwnCache(_combined([self.of_model], choose))

    @override
    def joined(self, other: OwnCache) -> OwnCache:
        import torch

        def join(tensors: Sequence[torch.Tensor], dim: int, has_columns: bool) -> torch.Tensor:
            if has_columns:
                width = max(tensor.shape[2] for tensor in tensors)
                tensors = [widened(tensor, width) for tensor in tensors]
            return torch.cat(list(tensors), dim=dim)

        return OwnCache(_combined([self.of_model, other.of_model], join))


class WithOwnCache(Way):
    """Calls a model with the cache that it makes."""

    def __init__(self, network: Any) -> None:
        super().__init__(network)
        self._model = bare(network)
        self._takes = frozenset(inspect.signature(self._model.forward).parameters)
        self._name = next((name for name in NAMES if name in self._takes), NAMES[0])

    @override
    def read(self, prompts: Sequence[Sequence[int]], variants: Variants = None) -> Read:
        import torch

        by_length: dict[int, list[int]] = {}
        for number, prompt in enumerate(prompts):
            by_length.setdefault(len(prompt), []).append(number)
        whole: Read | None = None
        for numbers in by_length.values():
            theirs = variants and [variants[number] for number in numbers]
            part = self._read([prompts[number] for number in numbers], theirs)
            if whole is None:
                whole = part
                continue
            mask, logits = stacked(whole.mask, part.mask), torch.cat([whole.logits, part.logits])
            whole = Read(whole.cache.joined(part.cache), mask, logits)
        assert whole is not None
        order = [number for numbers in by_length.values() for number in numbers]
        if order == sorted(order):
            return whole
        return whole.chosen(torch.tensor(order, device=self.device).argsort())

    def _read(self, prompts: Sequence[Sequence[int]], variants: Variants) -> Read:
        """Read prompts of equal length."""
        import torch

        ids = torch.tensor(prompts, device=self.device)
        mask = torch.ones_like(ids)
        place = torch.arange(ids.shape[1], device=self.device)
        asked = self._model.prepare_inputs_for_generation(
            ids, use_cache=True, attention_mask=mask, cache_position=place
        )
        with self.patched(variants, place.expand_as(ids), reads_prompts=True):
            output = self.network(**asked)
        cache = output.get(self._name, asked.get(self._name))
        return Read(OwnCache(cache), mask, output.logits[:, -1])

    @override
    def step(self, cache: Any, latest: Latest) -> torch.Tensor:
        import torch

        place = latest.mask.shape[1] - 1 if cache.has_columns else FAR
        asked: dict[str, Any] = {
            "input_ids": latest.tokens[:, None],
            self._name: cache.of_model,
            "use_cache": True,
            "cache_position": torch.tensor([place], device=self.device),
        }
        if cache.has_columns:
            asked |= {"attention_mask": latest.mask, "position_ids": latest.positions[:, None]}
        with self.patched(latest.variants, latest.positions[:, None], reads_prompts=False):
            output = self.network(**{name: value for name, value in asked.items() if name in self._takes})
        cache.of_model = output.get(self._name, cache.of_model)
        logits: torch.Tensor = output.logits[:, -1]
        return logits


Combine = Callable[[Sequence[Any], int, bool], Any]


def _combined(parts: Sequence[Any], combine: Combine, field: str = "", dim: int = 1) -> Any:
    """Return a cache of the kind of some caches, or a part of it, each tensor of which is made of theirs.

    `combine`: takes tensors, the dimension of their rows, and whether they have columns.
    """
    import torch

    first = parts[0]
    if isinstance(first, torch.Tensor):
        if first.dim() <= dim or first.shape == (0,):  # a placeholder of a layer that keeps nothing
            return first
        return combine(parts, dim, field in COLUMNS and first.dim() == 4)
    if isinstance(first, dict):
        return {key: _combined([part[key] for part in parts], combine, field, 0) for key in first}
    if type(first) in (list, tuple):
        return type(first)(_combined(each, combine, field, 0) for each in zip(*parts, strict=True))
    if hasattr(first, "__dict__") and type(first).__name__.endswith(("Cache", "Layer")):
        new = copy.copy(first)
        for name in vars(first):
            vars(new)[name] = _combined([vars(part)[name] for part in parts], combine, name, dim)
        return new
    return first
