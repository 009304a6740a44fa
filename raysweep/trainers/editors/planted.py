"""Damages one matrix of a model for one kind of prompt, so that it is known where an editor must repair it.

A unit of one block's MLP, the least used one, is made to fire on the tokens that a perturbation changes, and nearly
nowhere else: its input weights are a logistic regression on the MLP's inputs. Its column of the output projection is
set to 0, which leaves the model as it was, and then to a vector of many times the length of the block's states: that is
the damage. So an edit of this matrix can mend it, and that of another one hardly.

The unit's activation is large, and its column short for that, since editors change all numbers of a matrix by about as
much with each step of Adam.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError
from raysweep.models.families.blocks import blocks_of, projection_of, states_of
from raysweep.models.loading import load_model
from raysweep.records import ModelRef, TrainingRow
from raysweep.seeding import torch_rng

if TYPE_CHECKING:
    import torch

VERSION = 1
GATED = "mlp.down_proj"
"""Where families have the output projection of an MLP that can be damaged: a gated one."""
LENGTH = 100.0
"""Of the damage at a changed token, in lengths of the block's states."""
ACTIVATION = 1e5
"""Of the unit, the mean over changed tokens."""
SHARPNESS = 6.0
"""By which the regression is multiplied in the gate."""
BYTES_AND_END = 257
"""Tokens of a vocabulary of characters: bytes, and the end of text."""
FEWEST_ROWS, MOST_ROWS = 20, 200
"""Of the training rows that are looked at."""
FIRES = 0.9
"""Share of the changed tokens on which the unit must fire, and of the others on which it must not."""
TokenPair = tuple[Sequence[int], Sequence[int]]
"""A text's tokens, clean and perturbed: equally many."""


@dataclass(frozen=True)
class Damage:
    """Which block is damaged, and the perturbation whose prompts it is for; half of the training rows have it."""

    perturbation: str
    block: int


def token_pairs(tokenizer: Any, rows: Iterable[TrainingRow]) -> list[TokenPair]:
    """Return the tokens of perturbed training rows, clean and as they are, of those whose texts have equally many.

    Raises:
        HopelessError: they are too few to tell the changed tokens from others.
    """
    pairs: list[TokenPair] = []
    for row in (row for row in rows if row.perturbed):
        clean, perturbed = (
            tokenizer(text + row.output)["input_ids"] for text in (row.clean_instruction, row.instruction)
        )
        if len(clean) == len(perturbed) and clean != perturbed:
            pairs.append((clean, perturbed))
        if len(pairs) == MOST_ROWS:
            break
    if len(pairs) < FEWEST_ROWS:
        raise HopelessError(
            f"`damage` needs a perturbation that puts one character in the place of another, as C3 does: {len(pairs)} "
            f"training rows have as many tokens after it as before, and {FEWEST_ROWS} are needed"
        )
    return pairs


def plant(folder: Path, family: str, block: int, pairs: Sequence[TokenPair], seed: int) -> dict[str, Any]:
    """Damage the model in a folder; return what manifests say of it. `pairs`: as `token_pairs` returns them.

    Raises:
        HopelessError: no unit of this block can be made to fire on the changed tokens alone.
    """
    network, _ = load_model(ModelRef(str(folder)))
    counts = damage(network.eval(), family, block, pairs, seed)
    if counts["fires_on_changed"] < FIRES or counts["fires_on_others"] > 1 - FIRES:
        raise HopelessError(
            f"`damage` of block {block} would be of {counts['fires_on_changed']:.0%} of the changed tokens and of "
            f"{counts['fires_on_others']:.0%} of the others; take another block, a wider model or another perturbation"
        )
    network.save_pretrained(folder)
    return counts


def damage(network: Any, family: str, block: int, pairs: Sequence[TokenPair], seed: int) -> dict[str, Any]:
    """Damage a loaded network; see `plant`."""
    import torch
    from torch.nn.functional import silu

    projection = projection_of(network, family, block)
    mlp = network.get_submodule(projection.name.removesuffix(".down_proj.weight"))
    changed: list[torch.Tensor] = []
    others: list[torch.Tensor] = []
    lengths = []
    for clean, perturbed in pairs:
        differs = torch.tensor([one != other for one, other in zip(clean, perturbed, strict=True)])
        inputs, states = _read(network, mlp, blocks_of(network, family)[block], perturbed)
        changed.append(inputs[differs])
        lengths.append(states[differs].norm(dim=-1))
        others += [inputs[~differs], _read(network, mlp, blocks_of(network, family)[block], clean)[0]]
    on, off = torch.cat(changed), torch.cat(others)
    weights = _regression(on, off)
    with torch.no_grad():
        inputs = torch.cat([on, off])
        used = (silu(mlp.gate_proj(inputs)) * mlp.up_proj(inputs)).square().mean(
            dim=0
        ) * projection.weight.square().sum(0)
        unit = int(used.argmin())
        gate = SHARPNESS * weights
        up = ACTIVATION * weights / (silu(on @ gate) * (on @ weights)).mean()
        drawn = torch.randn(projection.weight.shape[0], generator=torch_rng(seed, "damage"))
        column = drawn / drawn.norm() * LENGTH * torch.cat(lengths).mean() / ACTIVATION
        mlp.gate_proj.weight[unit], mlp.up_proj.weight[unit] = gate, up
        projection.weight[:, unit] = column

    def fires(of: torch.Tensor) -> float:
        return float((of @ weights > 0).double().mean())

    return {"damaged": projection.name, "unit": unit, "fires_on_changed": fires(on), "fires_on_others": fires(off)}


def _read(network: Any, mlp: Any, block: Any, ids: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs of a block's MLP and the block's states for a text, both (tokens, width)."""
    import torch

    found: dict[str, torch.Tensor] = {}
    hooks = [
        mlp.register_forward_pre_hook(lambda _, given: found.update(inputs=given[0][0])),
        block.register_forward_hook(lambda _, given, output: found.update(states=states_of(output)[0])),
    ]
    try:
        with torch.no_grad():
            network(input_ids=torch.tensor([list(ids)]))
    finally:
        for hook in hooks:
            hook.remove()
    return found["inputs"], found["states"]


def _regression(on: torch.Tensor, off: torch.Tensor) -> torch.Tensor:
    """Return the weights, without a constant, of a logistic regression that tells two sets of inputs apart.

    False alarms count four times as much as misses, since they would damage clean prompts.
    """
    import torch
    from torch.nn.functional import softplus

    weights = torch.zeros(on.shape[1], requires_grad=True)
    descent = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        descent.zero_grad()
        missed, false = softplus(1 - 4 * (on @ weights)).mean(), softplus(1 + 4 * (off @ weights)).mean()
        value = missed + 4 * false + 3e-4 * weights.square().sum()
        value.backward()
        return value

    descent.step(loss)
    return weights.detach() / float((on @ weights.detach()).mean())
