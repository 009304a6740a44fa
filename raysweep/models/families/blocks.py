"""Finds the blocks of a network, their states, and the matrices that edits change.

A family says where they lie (`ModelFamily.paths`). Networks are causal models as transformers builds them; those with
an adapter of PEFT's, or in another wrapper, are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.models.families.base import FAMILIES, ModulePaths

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Projection:
    """The output projection of one block's MLP. `name`: of its weight, as in the network's state_dict."""

    name: str
    module: torch.nn.Module

    @property
    def weight(self) -> torch.nn.Parameter:
        """The matrix: (width, inner width) of a linear layer, the other way round of a Conv1D, as GPT-2 has it."""
        weight: Any = self.module.weight
        return weight  # type: ignore[no-any-return]


def paths_of(family: str) -> ModulePaths:
    """Return where the parts of networks of a `model_type` lie; raise UsageError if nothing says it."""
    paths = FAMILIES.get(family).paths if family in FAMILIES.names() else None
    if paths is None:
        known = ", ".join(name for name in FAMILIES.names() if FAMILIES.get(name).paths)
        raise UsageError(
            f"models of type {family!r} can't be edited, since nothing says where their blocks are (`paths` of a model "
            f"family); {known} can, and docs/plugins.md shows how to add a family"
        )
    return paths


def blocks_of(network: Any, family: str) -> list[torch.nn.Module]:
    """Return the blocks, the first one first; raise UsageError if nothing says where they are, or there are none."""
    return list(_at(network, paths_of(family).blocks, family))


def compared_at(network: Any, family: str) -> list[torch.nn.Module]:
    """Return the modules whose outputs are compared as the blocks' states: of the last block, what its norm gives.

    So transformers' `hidden_states` have it, and with them DINM and the package of CREME's authors. It raises as
    `blocks_of` does.
    """
    norm = paths_of(family).norm
    blocks = blocks_of(network, family)
    return [*blocks[:-1], _at(network, norm, family) if norm else blocks[-1]]


def embedding_of(network: Any, family: str) -> torch.nn.Module:
    """Return the module that turns tokens into states, (rows, tokens, width); it raises as `blocks_of` does."""
    module: torch.nn.Module = _at(network, paths_of(family).embedding, family)
    return module


def projection_of(network: Any, family: str, block: int) -> Projection:
    """Return the output projection of a block's MLP, counted from 0; raise UsageError if there is none."""
    require_block(network, family, block)
    paths = paths_of(family)
    path = f"{paths.blocks}.{block}.{paths.mlp_output}"
    return Projection(f"{path}.weight", _at(network, path, family))


def require_block(network: Any, family: str, block: int) -> None:
    """Raise UsageError unless a network has a block; see `blocks_of`."""
    last = len(blocks_of(network, family)) - 1
    if not 0 <= block <= last:
        raise UsageError(f"there is no block {block}: the {family} model's blocks are 0 to {last}")


def states_of(output: Any) -> torch.Tensor:
    """Return the states that a block or an embedding gives out, (rows, tokens, width).

    Some blocks return a tensor, others a tuple that begins with it, which depends on the release of transformers too.
    """
    states: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return states


def with_states(output: Any, states: torch.Tensor) -> Any:
    return (states, *output[1:]) if isinstance(output, tuple) else states


def _at(network: Any, path: str, family: str) -> Any:
    try:
        return network.get_submodule(path)
    except AttributeError:
        raise UsageError(
            f"a {type(network).__name__} has no module {path!r}, where {family} models have it; edits take a model as "
            "transformers loads it, without an adapter"
        ) from None
