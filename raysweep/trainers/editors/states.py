"""Reads hidden states of a base, and adds a change to one of its matrices for some passes, without writing into it.

Conventions: a change is (d, d_ff), whatever the orientation in which the module keeps its matrix. A block's output is
what is before its MLP's output projection plus that projection's output, so that a change D of the projection's matrix
adds D k to it, where k is the projection's input. That holds in the architectures of `raysweep.models.families`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.models.families.blocks import blocks_of, projection_of, states_of
from raysweep.models.whole_texts import needs_cache, whole_pass
from raysweep.trainers.editors.base import EditJob

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Matrix:
    """The matrix of a block that an editor changes: the output projection of its MLP.

    `block`: the block's number, from 0. `module`: the block. `projection`: the layer. `name`: of the layer's weight in
    the base's state.
    """

    block: int
    module: Any
    projection: Any
    name: str

    @property
    def weight(self) -> torch.Tensor:
        """The matrix, (d, d_ff): a view of the layer's weight."""
        weight: torch.Tensor = self.projection.weight.detach()
        return weight.T if self.is_transposed else weight

    @property
    def is_transposed(self) -> bool:
        """Whether the layer keeps the matrix as (d_ff, d), as transformers' Conv1D does."""
        return type(self.projection).__name__ == "Conv1D"

    def changed(self, change: torch.Tensor) -> torch.Tensor:
        """Return the layer's whole new weight, in its orientation and dtype, as a tensor of its own."""
        whole = (self.weight.float() + change.float()).to(self.weight.dtype)
        return (whole.T if self.is_transposed else whole).contiguous().clone()

    def relative(self, whole: torch.Tensor) -> float:
        """Return ||W' - W|| / ||W||, Frobenius norms. `whole`: the layer's new weight, as `changed` returns it."""
        import torch

        own = self.projection.weight.detach().float()
        change, size = (torch.linalg.vector_norm(one, dtype=torch.float64) for one in (whole.float() - own, own))
        return float(change / size)


def matrix_of(job: EditJob, block: int) -> Matrix:
    """Return the matrix of a block; raise UsageError if there is none, or the family doesn't say where."""
    network = job.base.network
    projection = projection_of(network, job.family, block)
    return Matrix(block, blocks_of(network, job.family)[block], projection.module, projection.name)


@dataclass(frozen=True)
class BlockStates:
    """What a block and its projection compute for a text, in float32.

    `keys`: (tokens, d_ff), the projection's input. `output`: (tokens, d), the block's output.
    """

    keys: torch.Tensor
    output: torch.Tensor


@contextmanager
def frozen(network: Any) -> Iterator[None]:
    """Have a network in evaluation mode, without gradients of its parameters, and with gradients on, for the block.

    Each parameter gets its `requires_grad` back, and each module its mode.
    """
    import torch

    modes = [(module, module.training) for module in network.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    try:
        for parameter, _ in wanted:
            parameter.requires_grad_(False)
        network.eval()
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, was_training in modes:
            module.training = was_training
        for parameter, is_wanted in wanted:
            parameter.requires_grad_(is_wanted)


@contextmanager
def with_change(matrix: Matrix, change: Callable[[], torch.Tensor]) -> Iterator[None]:
    """Add a change, (d, d_ff) at each pass, to a matrix in all passes of the block; gradients flow to it."""
    import torch.nn.functional as F

    def added(_: Any, args: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
        return output + F.linear(args[0], change().to(args[0].dtype))

    hook = matrix.projection.register_forward_hook(added)
    try:
        yield
    finally:
        hook.remove()


def device_of(network: Any) -> torch.device:
    device: torch.device = network.get_input_embeddings().weight.device
    return device


def logits_of(network: Any, ids: Sequence[int], last: int | None = None) -> torch.Tensor:
    """Return the logits of a text, (tokens, vocabulary), in float32, of its last tokens only if `last` is given."""
    import torch

    given = torch.tensor([list(ids)], device=device_of(network))
    logits: torch.Tensor = whole_pass(network, input_ids=given).logits[0]
    return (logits if last is None else logits[len(ids) - last :]).float()


def block_states(network: Any, matrix: Matrix, ids: Sequence[int]) -> BlockStates:
    """Return the states of a text at a block. Later blocks are not run."""
    seen: dict[str, torch.Tensor] = {}

    def before(_: Any, args: tuple[torch.Tensor, ...]) -> None:
        seen["keys"] = args[0][0].detach().float()

    def after(_: Any, __: Any, output: Any) -> None:
        seen["output"] = states_of(output)[0].detach().float()
        raise _Enough

    with contextlib.suppress(_Enough):
        _watched(
            network,
            ids,
            lambda: [matrix.projection.register_forward_pre_hook(before), matrix.module.register_forward_hook(after)],
        )
    return BlockStates(seen["keys"], seen["output"])


def outputs(network: Any, blocks: Sequence[Any], ids: Sequence[int]) -> list[torch.Tensor]:
    """Return the output of each block for a text, (tokens, d), in float32."""
    seen: list[torch.Tensor] = []

    def after(_: Any, __: Any, output: Any) -> None:
        seen.append(states_of(output)[0].detach().float())

    _watched(network, ids, lambda: [block.register_forward_hook(after) for block in blocks])
    return seen


def relative_distance(states: torch.Tensor, others: torch.Tensor) -> float:
    """Return how far states are apart, (tokens, width) both: L2 relative to a state's norm, the mean over tokens.

    Norms grow from block to block, so that plain distances nearly always find the last one; and in large models a
    token or two have norms so large that they would decide alone.
    """
    states, others = states.float(), others.float()
    return float(((states - others).norm(dim=-1) / states.norm(dim=-1).clamp(min=1e-12)).mean())


def _watched(network: Any, ids: Sequence[int], watch: Callable[[], Sequence[Any]]) -> None:
    """Run a network on a text while hooks watch. `watch`: registers them, and returns their handles."""
    import torch

    needs_cache(network)  # the first pass of a network would try it with further ones, which hooks must not see
    hooks = watch()
    try:
        with torch.no_grad():
            whole_pass(network, input_ids=torch.tensor([list(ids)], device=device_of(network)))
    finally:
        for hook in hooks:
            hook.remove()


class _Enough(Exception):
    """What is wanted of a pass was seen."""
