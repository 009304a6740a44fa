"""DINM: trains the MLP output projection of the block at which a safe and an unsafe text are furthest apart.

Wang et al. 2024, https://arxiv.org/abs/2403.14472; settings and the stop rule are those of EasyEdit's files for 7B
models, https://github.com/zjunlp/EasyEdit/blob/main/hparams/DINM/llama-7b.yaml. With W' the matrix that is trained:

    loss = .1 NLL(target | P_pert; W') + KL(p_W || p_W') on a text that has nothing to do with the pair

where NLL is the mean over several pairs.

EasyEdit computes KL without a gradient, so that it only decides when to stop (dinm_main.py, still so in July 2026);
`dinm_kl_grad` gives it one. Assumed here: the target is what the model wrote for the original prompt and passed, the
safe text is that prompt with it, and the unsafe one the perturbed prompt with what failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.models.families.blocks import blocks_of
from raysweep.models.rounding import TEXT
from raysweep.records import ModelKind
from raysweep.trainers.editors.base import (
    EDIT,
    EDITORS,
    LOCALIZATION,
    EditEffort,
    EditJob,
    Editor,
    EditServices,
    ModelEdit,
    PartTimes,
    require_numbers,
)
from raysweep.trainers.editors.descent import Rules, descend, divergence, matrix_edit, mean_target_loss
from raysweep.trainers.editors.places import Place, block_at
from raysweep.trainers.editors.states import Matrix, frozen, matrix_of, with_change
from raysweep.trainers.editors.texts import TextReader

if TYPE_CHECKING:
    import torch


@EDITORS.register("dinm")
class Dinm(Editor):
    """Trains one MLP output projection to write the passing completion after the perturbed prompt.

    Args:
        lr: Adam's learning rate.
        steps: most steps.
        target_weight: of the target's loss.
        dinm_kl_grad: whether KL has a gradient; EasyEdit's has none.
        stop_below: no further step where the loss is below it.
        edit_at: the block: dinm, first, middle, last, random, or a number from 0.
        instruction: the text whose distributions are to stay.
    """

    kind = ModelKind.DELTA
    takes_several = True

    def __init__(
        self,
        lr: float = 5e-4,
        steps: int = 10,
        target_weight: float = 0.1,
        dinm_kl_grad: bool = False,
        stop_below: float = 1e-4,
        edit_at: Place | int = "dinm",
        instruction: str = TEXT,
    ) -> None:
        require_numbers(
            self.name, {"lr": lr, "target_weight": target_weight}, {"steps": (steps, 1), "stop_below": (stop_below, 0)}
        )
        self.rules = Rules(lr, steps, stop_below)
        self.target_weight, self.dinm_kl_grad = target_weight, dinm_kl_grad
        self.edit_at, self.instruction = edit_at, instruction

    @override
    def edit(self, job: EditJob, services: EditServices) -> ModelEdit:
        import torch

        network, reader, watch = job.base.network, TextReader(job.base), PartTimes()
        blocks, examples = blocks_of(network, job.family), [reader.pair(pair) for pair in job.pairs]
        with frozen(network):
            with watch.part(LOCALIZATION):
                matrix = matrix_of(job, block_at(self.edit_at, job, blocks, examples))
            with watch.part(EDIT):
                targets = [
                    (tokens.perturbed, reader.target(pair, tokens.perturbed, tokens.passing))
                    for pair, tokens in zip(job.pairs, examples, strict=True)
                ]
                instruction = reader.prompt(self.instruction, job.pair.special_tokens, "`instruction`")
                apart = divergence(network, instruction)
                losses = DinmLosses(network, matrix, targets, apart, self)
                start = torch.zeros(matrix.weight.shape, device=matrix.weight.device)
                descent = descend(start, losses.total, self.rules, lambda change: None, services.alive)
                tensors, counts = matrix_edit(matrix, descent.found, descent, self.edit_at, len(blocks))
        return ModelEdit(tensors=tensors, counts={**counts, **watch.counts})

    @override
    def work(self, blocks: int) -> EditEffort:
        return EditEffort(texts=2 * (self.rules.steps + 1))  # the target, and the instruction


@dataclass(frozen=True)
class DinmLosses:
    """The losses of a change of a matrix, (d, d_ff)."""

    network: Any
    matrix: Matrix
    targets: Sequence[tuple[list[int], list[int]]]
    """Prompts and what is to be written after each."""
    apart: Callable[[], torch.Tensor]
    settings: Dinm

    def total(self, change: torch.Tensor) -> torch.Tensor:
        with with_change(self.matrix, lambda: change):
            loss = mean_target_loss(self.network, self.targets)
        return self.settings.target_weight * loss + self.kept(change)

    def kept(self, change: torch.Tensor) -> torch.Tensor:
        """Return KL; without a gradient unless the settings ask for it."""
        import torch

        with torch.set_grad_enabled(self.settings.dinm_kl_grad), with_change(self.matrix, lambda: change):
            return self.apart()
