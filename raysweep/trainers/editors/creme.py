"""CREME: finds the block whose states carry the damage of a perturbed prompt, and aligns them with the original's.

The paper states the localization; its text ends before the edit. There are two readings of that. `span: prompt` is
rebuilt from the abstract, the task definition and DINM, which it follows (https://arxiv.org/abs/2403.14472,
https://github.com/zjunlp/EasyEdit). `span: written` is what the authors' own package does
(https://github.com/AyushGupta-Code/CREME-Not-Every-Layer-Counts, a fork with their commits up to f68a356).

With W the output projection of block l's MLP and h_l its block's output:

    L = L_align + lambda L_keep
    L_align = mean over t of ||h_l(P_pert; W')[t] - h_l(P_ori; W)[t]||^2 / d
    L_keep  = mean over s of KL(p_W || p_W') on P_ori                             `keep: kl`
              mean over s of ||h_l(P_ori; W')[s] - h_l(P_ori; W)[s]||^2 / d       `keep: mse`

`span: prompt`: t are the last min(T_ori, T_pert) tokens, s all tokens of P_ori. `span: written`: the first tokens that
W writes greedily for P_ori follow both prompts, and t and s are these. Of several examples L is the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

from raysweep.errors import Doubt, Finding
from raysweep.generators.transformers import Transformers
from raysweep.models.families.blocks import blocks_of
from raysweep.records import BlockAccuracy, Decoding, GenerationRequest, ModelKind, PromptPair
from raysweep.seeding import torch_rng
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
from raysweep.trainers.editors.descent import Descent, Rules, descend, divergence, matrix_edit, within
from raysweep.trainers.editors.localization import Localization, localize, most_restoring
from raysweep.trainers.editors.places import Place, block_at
from raysweep.trainers.editors.states import Matrix, block_states, frozen, matrix_of, with_change
from raysweep.trainers.editors.texts import PairTokens, TextReader

if TYPE_CHECKING:
    import torch


@EDITORS.register("creme")
class Creme(Editor):
    """Localizes by patching states, then trains one MLP output projection to align the prompts' states.

    With `returns: best` the change with the lowest loss is returned: none, if no step lowers it. Then the counts say
    so.

    Args:
        lr: Adam's learning rate.
        steps: most steps.
        keep_weight: lambda, the weight of `keep`.
        keep: what keeps the original prompt as it is: the tokens' distributions (kl), or the block's states (mse).
        stop_below: no further step where the loss is below it.
        patience: no further step after so many steps without a lower loss; 0: all steps.
        most_change: most ||W' - W|| / ||W||, Frobenius norms; 0: no bound.
        span: where states are aligned and kept: in the prompts, or at tokens that the base writes for the original.
        written_tokens: most of these tokens, with `span: written`.
        returns: the change with the lowest loss (best), or the one after the last step (last).
        direction: of the change: what the descent found (descent), or, as controls, a random one of the same norm in
            the same block (random), or no change at all (none).
        edit_at: the block: auto (where localization finds the damage), first, middle, last, random, dinm, or a number
            from 0.
        positions: of the localization: all | last | diff_span | window:k.
        phase: of the localization: prefill | all.
        samples: B, completions of each block in the localization.
        temperature: of these completions; 0 with one sample only.
        top_p: of these completions.
        max_new_tokens: of these completions; as in the evaluation if it is left out.
        by: what chooses the block in the localization: passes | divergence.
        not_reproduced: what becomes of an example whose samples in the localization show no loss: end | edit.
        embeddings: whether the localization patches the embeddings too, as a check; they are block -1, which is never
            edited.
    """

    kind = ModelKind.DELTA
    takes_several = True

    def __init__(
        self,
        lr: float = 1e-4,
        steps: int = 25,
        keep_weight: float = 1.0,
        keep: Literal["kl", "mse"] = "kl",
        stop_below: float = 1e-4,
        patience: int = 5,
        most_change: float = 0.1,
        span: Literal["prompt", "written"] = "prompt",
        written_tokens: int = 32,
        returns: Literal["best", "last"] = "best",
        direction: Literal["descent", "random", "none"] = "descent",
        edit_at: Literal["auto"] | Place | int = "auto",
        positions: str = "all",
        phase: Literal["prefill", "all"] = "prefill",
        samples: int = 5,
        temperature: float = 0.2,
        top_p: float = 0.95,
        max_new_tokens: int | None = None,
        embeddings: bool = False,
        by: Literal["passes", "divergence"] = "passes",
        not_reproduced: Literal["end", "edit"] = "end",
    ) -> None:
        require_numbers(
            self.name,
            {"lr": lr},
            {"steps": (steps, 1), "keep_weight": (keep_weight, 0)}
            | {"most_change": (most_change, 0), "written_tokens": (written_tokens, 1)}
            | {"stop_below": (stop_below, 0), "patience": (patience, 0)},
        )
        self.rules = Rules(lr, steps, stop_below, patience, keeps_best=returns == "best")
        self.keep_weight, self.keep, self.most_change, self.edit_at = keep_weight, keep, most_change, edit_at
        self.direction = direction
        self.written_tokens = written_tokens if span == "written" else 0
        self.localization = Localization(
            positions,
            phase,
            samples,
            temperature,
            top_p,
            max_new_tokens,
            embeddings=embeddings,
            by=by,
            not_reproduced=not_reproduced,
        )

    @override
    def edit(self, job: EditJob, services: EditServices) -> ModelEdit:
        import torch

        network, watch = job.base.network, PartTimes()
        blocks = blocks_of(network, job.family)
        reader = TextReader(job.base)
        examples = [reader.pair(pair) for pair in job.pairs]
        found: Sequence[BlockAccuracy] = ()
        with frozen(network):
            with watch.part(LOCALIZATION):
                if self.edit_at == "auto":
                    found = localize(job, services, self.localization)
                    block = most_restoring(found, self.localization.by)
                else:
                    block = block_at(self.edit_at, job, blocks, examples)
            with watch.part(EDIT):
                matrix = matrix_of(job, block)
                descent = self._descend(job, matrix, examples, services.alive)
                change = descent.found
                if self.direction == "none":
                    change = torch.zeros_like(change)
                elif self.direction == "random":
                    pair = job.pair
                    rng = torch_rng(job.seed, "direction", pair.problem_set, pair.perturbation, pair.task_id)
                    drawn = torch.randn(change.shape, generator=rng).to(change)
                    change = drawn * (change.norm() / drawn.norm())
                tensors, counts = matrix_edit(matrix, change, descent, self.edit_at, len(blocks))
        return ModelEdit(tensors=tensors, counts={**counts, **watch.counts}, blocks=found)

    @override
    def check(self) -> Iterator[Finding]:
        if (most := self.most_change) > 1:
            way = f"write {most / 100:g} if {most:g} % are meant"
            text = f"`most_change: {most:g}` allows a change {most:g} times as large as the matrix; {way}"
            yield "edit", Doubt(text)

    @override
    def work(self, blocks: int) -> EditEffort:
        localized = self.localization
        patched = (blocks + localized.embeddings) * len(localized.scopes)
        completions = (2 + patched) * localized.samples if self.edit_at == "auto" else 0
        is_read = self.keep == "kl" and self.keep_weight > 0  # else a step reads no text
        return EditEffort(
            completions,
            (self.rules.steps + 1) * is_read,
            more=self.written_tokens,
            samples=localized.samples,
            new=localized.max_new_tokens,
        )

    def _descend(
        self, job: EditJob, matrix: Matrix, examples: Sequence[PairTokens], alive: Callable[[], None]
    ) -> Descent:
        """Return the descent of the change of a matrix, (d, d_ff)."""
        import torch

        losses = [self._loss(job, pair, matrix, tokens) for pair, tokens in zip(job.pairs, examples, strict=True)]
        bound = self.most_change * float(matrix.weight.float().norm()) or math.inf
        start = torch.zeros(matrix.weight.shape, device=matrix.weight.device)
        return descend(
            start, lambda change: torch.stack([of(change) for of in losses]).mean(), self.rules, within(bound), alive
        )

    def _loss(
        self, job: EditJob, pair: PromptPair, matrix: Matrix, tokens: PairTokens
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return L of one example, a function of the change."""
        network, written = job.base.network, self._written(job, pair, tokens)
        original = block_states(network, matrix, [*tokens.original, *written])
        perturbed = block_states(network, matrix, [*tokens.perturbed, *written])
        shared = len(written) or min(len(original.keys), len(perturbed.keys))
        wanted = original.output[-shared:]
        keys, now = perturbed.keys[-shared:], perturbed.output[-shared:]
        own = original.keys[-len(written) :]  # all of them, where none was written
        kept = self._kept(network, matrix, [*tokens.original, *written], own, len(written))

        def loss(change: torch.Tensor) -> torch.Tensor:
            align = (now + keys @ change.T - wanted).square().mean()
            return align + self.keep_weight * kept(change) if self.keep_weight else align

        return loss

    def _written(self, job: EditJob, pair: PromptPair, tokens: PairTokens) -> list[int]:
        """Return the first tokens that the base writes greedily for the original prompt; none with `span: prompt`.

        An end of text is one, and both prompts leave room for one: `PairTokens` are of prompts that do.
        """
        if not self.written_tokens:
            return []
        generator = Transformers(job.base, Decoding(self.written_tokens))
        request = GenerationRequest("", pair.task_id, pair.original, special_tokens=pair.special_tokens)
        (row,) = generator.write([request])
        return row.written[: TextReader(job.base).room(tokens.perturbed)]

    def _kept(
        self, network: Any, matrix: Matrix, original: Sequence[int], keys: torch.Tensor, last: int
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        """Return L_keep, a function of the change. `last`: how many tokens it is of; 0: of all."""
        if self.keep == "mse":
            return lambda change: (keys @ change.T).square().mean()
        apart = divergence(network, original, last or None)

        def kept(change: torch.Tensor) -> torch.Tensor:
            with with_change(matrix, lambda: change):
                return apart()

        return kept
