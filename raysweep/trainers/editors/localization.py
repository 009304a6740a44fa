"""Finds the block whose states carry the damage of a perturbed prompt, by patching (CREME's localization).

The original prompt is read once, and the states that each block gives out are kept. Then the perturbed prompt is
written with the output of one block replaced by those states, once for each block, in one call of the generator: a row
for each block while the prompt is read, B rows while completions are drawn. A block's restoration is the share of the
lost accuracy that its patch brings back, RI = (Acc_l - Acc_pert) / (Acc_ori - Acc_pert).

Shares of B samples are coarse, and often equal for all blocks. So it is measured, too, how far a patch removes the
divergence KL(p || p') of the distributions of the tokens that the model wrote for the original prompt, p after this
prompt and p' after the perturbed one; `by: divergence` chooses the block by that.

The paper leaves open, and assumed here are: where prompts have unequal lengths, their last tokens are the shared ones,
as many as the shorter one has; samples are drawn at temperature .2 from a nucleus of .95, since greedy samples are
equal; equal restorations are told apart by the distance of the block's states on the two prompts, much as DINM chooses
its block (Wang et al. 2024, https://arxiv.org/abs/2403.14472). docs/editing-design.md says what RI can't tell.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from raysweep.errors import UsageError
from raysweep.generators.patches import RowVariant
from raysweep.generators.rows import WrittenRow
from raysweep.generators.transformers import Transformers
from raysweep.models.families.blocks import blocks_of, compared_at, embedding_of
from raysweep.records import BlockAccuracy, Decoding, GenerationRequest, PromptPair
from raysweep.seeding import derive
from raysweep.trainers.editors.base import EditJob, EditServices, NotReproduced
from raysweep.trainers.editors.descent import divergence
from raysweep.trainers.editors.patched_states import PatchedStates, replaced, states_at
from raysweep.trainers.editors.shared_positions import SCOPES, Shared, sources
from raysweep.trainers.editors.states import relative_distance
from raysweep.trainers.editors.texts import TextReader

if TYPE_CHECKING:
    import torch

EMBEDDINGS = -1
"""Number of the embeddings, where they are patched in a block's place."""
PREFILL, ALL = "prefill", "all"
"""When rows are patched: while the prompt is read, or while completions are written too."""


@dataclass(frozen=True)
class Localization:
    """The settings of a localization. It writes (blocks x scopes x samples) completions of one perturbed prompt.

    Attributes:
        positions: which of the shared positions are patched: all (the paper's) | last | diff_span (the tokens that meet
            changed characters) | window:k (those, and k tokens before and after).
        phase: prefill (the paper's), or all: the s-th token that is written gets the states of the s-th one of the
            original's first sample too, as far as that goes.
        samples: B, completions of each block, and of each prompt without a patch. Restorations have steps of 1/B.
        temperature: at which they are drawn; 0 (greedy) with one sample only.
        top_p: of the nucleus.
        max_new_tokens: of a completion; None: as many as where the base was judged.
        beside: further scopes of positions that are measured in the same call, for reports.
        embeddings: whether the embeddings are patched too, as a check: their number is -1.
        by: what chooses the block: samples that pass (passes, the paper's), or the divergence that a patch removes.
        not_reproduced: what becomes of an example whose own samples show no loss: it ends (end), or the block with
            whose patch most samples pass is edited (edit), as by the package of CREME's authors.
    """

    positions: str = "all"
    phase: str = PREFILL
    samples: int = 5
    temperature: float = 0.2
    top_p: float = 0.95
    max_new_tokens: int | None = None
    beside: Sequence[str] = ("all", "last")
    embeddings: bool = False
    by: Literal["passes", "divergence"] = "passes"
    not_reproduced: Literal["end", "edit"] = "end"

    def __post_init__(self) -> None:
        for scope in self.scopes:
            if not re.fullmatch(SCOPES, scope):
                raise UsageError(f"`positions: {scope}` must be all, last, diff_span or window:k, such as window:2")
        if self.phase not in (PREFILL, ALL):
            raise UsageError(f"`phase: {self.phase}` must be {PREFILL} or {ALL}")
        if self.samples < 1 or (self.max_new_tokens is not None and self.max_new_tokens < 1):
            raise UsageError("a localization needs `samples` and `max_new_tokens` of 1 or more")
        if not (self.temperature >= 0 and 0 < self.top_p <= 1):
            raise UsageError("a localization needs a `temperature` of 0 or more, and a `top_p` above 0, up to 1")
        if self.temperature == 0 and self.samples > 1:
            raise UsageError(
                f"`temperature: 0` with `samples: {self.samples}`: greedy samples are equal; write `samples: 1`, or a "
                "temperature above 0"
            )

    @property
    def scopes(self) -> Sequence[str]:
        """The scopes of positions that are measured, the one that decides first."""
        return tuple(dict.fromkeys((self.positions, *self.beside)))


def localize(job: EditJob, services: EditServices, settings: Localization) -> list[BlockAccuracy]:
    """Return what patching each block restores, by scopes (those that decide first) and blocks.

    Of several examples all numbers are means over them, but for RI, which is of the means.
    """
    found = []
    for pair in job.pairs:
        try:
            found.append(_localize(replace(job, pair=pair, others=()), services, settings))
        except NotReproduced:  # the others decide
            if pair is job.pairs[-1] and not found:
                raise
    return [_mean(of_block) for of_block in zip(*found, strict=True)] if len(found) > 1 else found[0]


def _mean(found: Sequence[BlockAccuracy]) -> BlockAccuracy:
    def mean(name: str) -> float:
        return fmean(getattr(one, name) for one in found)

    removed = [one.divergence_removed for one in found if not math.isnan(one.divergence_removed)]
    accuracy, original, perturbed = map(mean, ("accuracy", "accuracy_original", "accuracy_perturbed"))
    return replace(
        found[0],
        accuracy=accuracy,
        restoration=(accuracy - perturbed) / (original - perturbed) if original > perturbed else math.nan,
        distance=mean("distance"),
        accuracy_original=original,
        accuracy_perturbed=perturbed,
        samples=sum(one.samples for one in found),
        divergence_removed=fmean(removed) if removed else math.nan,
    )


def _localize(job: EditJob, services: EditServices, settings: Localization) -> list[BlockAccuracy]:
    """Return the same of one example.

    It depends on (weights, pair, settings, seed, the job's `max_new_tokens`) only. The base is read, its weights are
    never written to, and no hook is left on it, also after an error. Where memory runs out, fewer rows are written at
    a time, with the same texts.

    Raises:
        NotReproduced: of its own samples, the perturbed prompt's pass as often as the original's, or more often, and
            `not_reproduced` is end.
        UsageError: the family has no template of its blocks; a prompt has no tokens, or leaves none to write; or the
            tokenizer doesn't tell which characters a token covers, where the positions depend on that.
        RaysweepError: memory ran out with a single row.
    """
    network, pair = job.base.network, job.pair
    ends = {EMBEDDINGS: embedding_of(network, job.family)} if settings.embeddings else {}
    modules: dict[int, Any] = {**ends, **dict(enumerate(blocks_of(network, job.family)))}
    last = max(modules)
    read = {**modules, last + 1: compared_at(network, job.family)[-1]}
    samples = _Samples(job, services, settings)
    original, perturbed = samples.unpatched()
    if settings.not_reproduced == "end":
        _require_loss(pair, original, perturbed)
    prompts = (original.rows[0].prompt, perturbed.rows[0].prompt)
    shared = Shared(*map(len, prompts))
    written = original.rows[0].written[:-1] if settings.phase == ALL else []  # nothing follows the last one
    states, others = (states_at(samples.generator, read, ids) for ids in ([*prompts[0], *written], prompts[1]))
    places = sources(settings.scopes, pair, job.base.tokenizer, shared)
    further = range(shared.original, shared.original + len(written))
    patcher = PatchedStates(modules, states, {scope: [*of, *further] for scope, of in places.items()}, shared.perturbed)
    names = [(scope, block) for scope in settings.scopes for block in modules]
    accuracies = samples.patched([RowVariant(patcher, name) for name in names])
    read_after = original.rows[0].written[: TextReader(job.base).room(prompts[1])]  # may be longer than the original
    removed = _divergence_removed(network, modules, states, places, (*prompts, read_after))
    lost = original.accuracy - perturbed.accuracy
    return [
        BlockAccuracy(
            block=block,
            positions=scope,
            phase=settings.phase,
            accuracy=accuracy,
            restoration=(accuracy - perturbed.accuracy) / lost if lost > 0 else math.nan,
            distance=_distance(block + (block == last), states, others, shared),  # the last one's behind the norm
            accuracy_original=original.accuracy,
            accuracy_perturbed=perturbed.accuracy,
            samples=settings.samples,
            divergence_removed=removed[scope, block],
        )
        for (scope, block), accuracy in zip(names, accuracies, strict=True)
    ]


def _require_loss(pair: PromptPair, original: _Written, perturbed: _Written) -> None:
    if not original.accuracy > perturbed.accuracy:
        raise NotReproduced(
            f"{len(original.rows)} samples of {pair.task_id} pass at a rate of {original.accuracy:.2f} with the "
            f"original prompt and of {perturbed.accuracy:.2f} with the perturbed one ({pair.perturbation})"
        )


def _distance(
    number: int, states: Mapping[int, torch.Tensor], others: Mapping[int, torch.Tensor], shared: Shared
) -> float:
    """Return how far a module's states on two prompts, (tokens, width), are apart over the positions they share."""
    tokens = len(shared.positions)
    return relative_distance(states[number][: shared.original][-tokens:], others[number][-tokens:])


def most_restoring(found: Sequence[BlockAccuracy], by: str = "passes") -> int:
    """Return the block that restores most, in the first scope of those found.

    It is the one with whose patch most samples pass, or that removes most of the divergence; of equal ones the one
    whose states are furthest apart on the two prompts. The embeddings are no block.
    """
    deciding = [block for block in found if block.positions == found[0].positions and block.block != EMBEDDINGS]
    value = attrgetter("accuracy" if by == "passes" else "divergence_removed")

    def restored(block: BlockAccuracy) -> float:
        return -math.inf if math.isnan(value(block)) else value(block)

    return max(deciding, key=lambda block: (restored(block), block.distance, -block.block)).block


def _divergence_removed(
    network: Any,
    modules: Mapping[int, Any],
    states: Mapping[int, torch.Tensor],
    places: Mapping[str, Sequence[int]],
    texts: tuple[Sequence[int], Sequence[int], Sequence[int]],
) -> dict[tuple[str, int], float]:
    """Return by scope and module which share of the divergence its patch removes; NaN where there is none.

    `texts`: tokens of the original prompt, of the perturbed one, and those that were written for the first. Only the
    prompt's states are patched, with those of the original prompt, by position in `places`; -1: not patched.
    """
    import torch

    original, perturbed, written = texts
    unread = written[:-1]  # the last distribution is that of the last token
    with torch.no_grad():
        now = divergence(network, [*original, *unread], len(written), [*perturbed, *unread])
        whole, removed = float(now()), dict[tuple[str, int], float]()
        for scope, sources in places.items():
            for number, module in modules.items():
                device = states[number].device
                patched = torch.tensor([[*sources, *[-1] * len(unread)]], device=device)
                row = torch.tensor([0], device=device)
                hook = module.register_forward_hook(partial(replaced, row, patched, states[number]))
                try:
                    removed[scope, number] = 1 - float(now()) / whole if whole > 0 else math.nan
                finally:
                    hook.remove()
    return removed


@dataclass(frozen=True)
class _Written:
    """The samples of one prompt, and the share of them that passed."""

    rows: Sequence[WrittenRow]
    accuracy: float


class _Samples:
    """Writes and judges samples of the prompts of a pair.

    With the sweep's own seed they would be those of the base's evaluation, by which the pair was chosen: of these the
    original prompt's passed and the perturbed one's failed, in part by chance. So their seed is another one.
    """

    def __init__(self, job: EditJob, services: EditServices, settings: Localization) -> None:
        self._pair, self._services, self._samples = job.pair, services, settings.samples
        new, seed = settings.max_new_tokens or job.max_new_tokens, derive(job.seed, "localization") % 2**63
        decoding = Decoding(new, settings.temperature, settings.top_p, settings.samples, seed)
        self.generator = Transformers(job.base, decoding, batch_tokens=job.batch_tokens)
        self.generator.alive = services.alive

    def unpatched(self) -> tuple[_Written, _Written]:
        pair, number = self._pair, self._samples
        rows = self.generator.write([*self._requests(pair.original), *self._requests(pair.perturbed)])
        for row in rows:
            if not row.written:
                raise UsageError(
                    f"the prompts of {pair.problem_set} {pair.task_id} have no tokens, or leave the model no position "
                    "to write to; name other problems in `edits.problems`"
                )
        original, perturbed = self._accuracies(rows)
        return _Written(rows[:number], original), _Written(rows[number:], perturbed)

    def patched(self, variants: Sequence[RowVariant]) -> list[float]:
        """Return the share that passes of the perturbed prompt's samples in each variant."""
        requests = [request for _ in variants for request in self._requests(self._pair.perturbed)]
        of_each = [variant for variant in variants for _ in range(self._samples)]
        return self._accuracies(self.generator.write(requests, of_each))

    def _requests(self, prompt: str) -> Iterator[GenerationRequest]:
        pair = self._pair
        for sample in range(self._samples):
            yield GenerationRequest("", pair.task_id, prompt, sample, pair.stop, None, pair.special_tokens)

    def _accuracies(self, rows: Sequence[WrittenRow]) -> list[float]:
        passed = self._services.passes([self.generator.completion(row).text for row in rows], self._pair.task_id)
        return [sum(passed[start:][: self._samples]) / self._samples for start in range(0, len(rows), self._samples)]
