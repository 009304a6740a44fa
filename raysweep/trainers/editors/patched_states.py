"""Replaces what a block gives out for some rows by the states of another text, and keeps such states."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.generators.patches import Patcher, Reading, RowVariant
from raysweep.generators.transformers import Transformers
from raysweep.models.families.blocks import states_of, with_states

if TYPE_CHECKING:
    import torch


class PatchedStates(Patcher):
    """Replaces states of one text by those of another, in one module a variant, called (scope, number of the module).

    Nothing is written in place: a module's output is replaced by a copy.

    Args:
        modules: those that give out states, by their numbers.
        states: the other text's, (tokens, width), by the modules' numbers.
        sources: by scope, (positions,): for each position of the text that is patched, the one in `states` whose states
            it gets; -1: it keeps its own, as all positions beyond do.
        prompt: number of positions of the prompt; those that follow are the model's own, in `sources` too.
    """

    def __init__(
        self,
        modules: Mapping[int, Any],
        states: Mapping[int, torch.Tensor],
        sources: Mapping[str, Sequence[int]],
        prompt: int,
    ) -> None:
        import torch

        self._modules, self._states = modules, states
        self._scopes = {scope: number for number, scope in enumerate(sources)}
        width = max(map(len, sources.values())) + 1  # the last column is for all positions that keep their own states
        table = [[*places, *[-1] * (width - len(places))] for places in sources.values()]
        self._sources = torch.tensor(table, device=next(iter(states.values())).device)
        self._patches_written = width - 1 > prompt

    @override
    @contextlib.contextmanager
    def around(self, network: Any, reading: Reading) -> Iterator[None]:
        with contextlib.ExitStack() as hooks:
            if reading.reads_prompts or self._patches_written:
                for number, hook in self._hooks(reading):
                    hooks.callback(self._modules[number].register_forward_hook(hook).remove)
            yield

    def _hooks(self, reading: Reading) -> Iterator[tuple[int, Any]]:
        import torch

        names: dict[int, Any] = {
            row: variant.name
            for row, variant in enumerate(reading.variants)
            if variant is not None and variant.patcher is self
        }
        rows: dict[int, list[int]] = {}
        for place, (_, number) in enumerate(names.values()):
            rows.setdefault(number, []).append(place)
        device, last = reading.positions.device, self._sources.shape[1] - 1
        index = torch.tensor(list(names), device=device)
        scopes = torch.tensor([self._scopes[scope] for scope, _ in names.values()], device=device)
        positions = reading.positions[index]
        sources = self._sources[scopes[:, None], positions.clamp(max=last).masked_fill(positions < 0, last)]
        for number, places in rows.items():
            of_module = torch.tensor(places, device=device)
            yield (
                number,
                functools.partial(replaced, index[of_module], sources[of_module], self._states[number]),
            )


def states_at(generator: Transformers, modules: Mapping[int, Any], ids: Sequence[int]) -> dict[int, torch.Tensor]:
    """Return the states that modules give out for a text in a pass of its own, (tokens, width), by their numbers."""
    kept = _KeptStates(modules)
    generator.read([ids], [RowVariant(kept, None)])
    return kept.states


class _KeptStates(Patcher):
    """Changes nothing, and keeps what modules give out in the last call with a row of its variants."""

    def __init__(self, modules: Mapping[int, Any]) -> None:
        self._modules = modules
        self.states: dict[int, torch.Tensor] = {}

    @override
    @contextlib.contextmanager
    def around(self, network: Any, reading: Reading) -> Iterator[None]:
        with contextlib.ExitStack() as hooks:
            for number, module in self._modules.items():
                hook = functools.partial(self._keep, number)
                hooks.callback(module.register_forward_hook(hook).remove)
            yield

    def _keep(self, number: int, module: Any, args: Any, output: Any) -> None:
        self.states[number] = states_of(output)[0].clone()  # later layers may write into it


def replaced(
    index: torch.Tensor, sources: torch.Tensor, states: torch.Tensor, module: Any, args: Any, output: Any
) -> Any:
    """Return a module's output with other states in some rows.

    `index`: (k,), the rows. `sources`: (k, tokens), places in `states`; -1: a token keeps its own. `states`: (tokens of
    the other text, width).
    """
    import torch

    own = states_of(output)
    patched = torch.where((sources >= 0)[..., None], states[sources.clamp(min=0)], own[index])
    return with_states(output, own.index_copy(0, index, patched))
