"""ROME: a change of rank one that has an MLP's output projection give a chosen output for a chosen key.

Meng et al. 2022, https://arxiv.org/abs/2202.05262, https://github.com/kmeng01/rome; settings are those of EasyEdit's
files for 7B models, https://github.com/zjunlp/EasyEdit/blob/main/hparams/ROME/llama-7b.yaml. With k the projection's
input and W k + b its output at the last prompt token:

    v* = v + delta, v = W k + b on the plain prompt; delta minimises over the contexts, to whose outputs it is added,
         mean NLL(target) + kl_weight KL(p || p') on a neutral prompt + decay ||delta|| / ||v||^2
    dW = ((v* - (W k* + b)) / (k* . u)) u^T;   u = k_mean / ||k_mean||, or C^-1 k_mean normalised

The contexts are the plain prompt and sampled prefixes before it, k_mean is the mean key of all, k_prompt that of the
plain prompt. Both codes take k* = k_prompt though u comes from k_mean, by which single edits collapse a model now and
then (Gupta et al. 2024, https://arxiv.org/abs/2403.07175); its authors' code takes k_mean in both places
(https://github.com/scalable-model-editing/rebuilding-rome), and so does the default here.

Assumed here, since prompts of code have no subject: the lookup token is the perturbed prompt's last one, and the target
is the beginning of the completion that passed. C comes from texts that the model samples, not from Wikipedia.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

from raysweep.models.families.blocks import blocks_of
from raysweep.models.whole_texts import whole_pass
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
from raysweep.trainers.editors.descent import Descent, Rules, descend, matrix_edit, within
from raysweep.trainers.editors.places import Place, block_at
from raysweep.trainers.editors.states import Matrix, block_states, device_of, frozen, logits_of, matrix_of
from raysweep.trainers.editors.texts import TextReader, left_padded, sampled

if TYPE_CHECKING:
    import torch

NEUTRAL = "def main():\n"
"""A prompt that has nothing to do with any pair."""
PREFIX_TOKENS = (5, 10)
"""Tokens of the first half of the prefixes and of the second."""
BETWEEN = "\n"
"""What stands between a prefix and the prompt."""
PASS_TOKENS = 4096
"""Tokens of the contexts that are read together, padding included."""


@EDITORS.register("rome")
class Rome(Editor):
    """Adds a matrix of rank one to one MLP output projection, so that the perturbed prompt ends as the passing one.

    Args:
        lr: Adam's learning rate, for delta.
        steps: how often delta's loss is computed; there is one update less.
        stop_below: no further step where the loss is below it.
        most_delta: most ||delta|| / ||v||.
        kl_weight: of the divergence on the neutral prompt.
        decay: of delta.
        edit_at: the block: first, middle, last, random, dinm, or a number from 0.
        keys: whether k* is the mean key of all contexts (mean) or the plain prompt's (prompt).
        prefixes: number of sampled prefixes, half of them of 5 and half of 10 tokens.
        target_tokens: most tokens of the target.
        covariance_tokens: tokens of sampled text from which C is computed; 0: C is the identity.
        covariance_text_tokens: tokens of each of these texts.
        covariance_ridge: what is added to C's diagonal, in means of it: C may have fewer texts than dimensions.
        neutral: the neutral prompt.
    """

    kind = ModelKind.DELTA

    def __init__(
        self,
        lr: float = 0.5,
        steps: int = 25,
        stop_below: float = 5e-2,
        most_delta: float = 4.0,
        kl_weight: float = 0.0625,
        decay: float = 1e-3,
        edit_at: Place | int = 5,
        keys: Literal["mean", "prompt"] = "mean",
        prefixes: int = 20,
        target_tokens: int = 32,
        covariance_tokens: int = 0,
        covariance_text_tokens: int = 64,
        covariance_ridge: float = 1e-2,
        neutral: str = NEUTRAL,
    ) -> None:
        require_numbers(
            self.name,
            {"lr": lr, "most_delta": most_delta},
            {"steps": (steps, 1), "target_tokens": (target_tokens, 1), "prefixes": (prefixes, 0)}
            | {"covariance_text_tokens": (covariance_text_tokens, 1), "kl_weight": (kl_weight, 0), "decay": (decay, 0)}
            | {"stop_below": (stop_below, 0), "covariance_tokens": (covariance_tokens, 0)}
            | {"covariance_ridge": (covariance_ridge, 0)},
        )
        self.rules = Rules(lr, steps - 1, stop_below)
        self.most_delta, self.kl_weight, self.decay = most_delta, kl_weight, decay
        self.edit_at, self.keys, self.prefixes = edit_at, keys, prefixes
        self.target_tokens, self.covariance_tokens, self.neutral = target_tokens, covariance_tokens, neutral
        self.covariance_text_tokens, self.covariance_ridge = covariance_text_tokens, covariance_ridge

    @override
    def edit(self, job: EditJob, services: EditServices) -> ModelEdit:
        network, reader, watch = job.base.network, TextReader(job.base), PartTimes()
        blocks, tokens = blocks_of(network, job.family), reader.pair(job.pair)
        with frozen(network):
            with watch.part(LOCALIZATION):
                matrix = matrix_of(job, block_at(self.edit_at, job, blocks, [tokens]))
            with watch.part(EDIT):
                prefixes = self._prefixes(job, services.alive)
                contexts = self._contexts(job, reader, tokens.perturbed, prefixes)
                keys = _keys(network, matrix, contexts, services.alive)
                target = reader.target(job.pair, max(contexts, key=len), tokens.passing, self.target_tokens)
                descent = self._descend(job, matrix, contexts, target, reader, services.alive)
                update = rank_one(matrix, keys, descent.found, self.keys, self._covariance(job, matrix, services.alive))
                tensors, counts = matrix_edit(matrix, update.change, descent, self.edit_at, len(blocks))
        counts |= {
            "prefixes": prefixes,
            "contexts": len(contexts),
            "target_tokens": len(target),
        }
        return ModelEdit(tensors=tensors, counts={**counts, **watch.counts})

    @override
    def work(self, blocks: int) -> EditEffort:
        texts = self.prefixes + 2  # with the plain prompt and the neutral one
        together = PASS_TOKENS if self.prefixes else 0
        return EditEffort(0, (self.rules.steps + 1) * texts, self.target_tokens, together)

    def _prefixes(self, job: EditJob, alive: Callable[[], None]) -> list[str]:
        """Return the prefixes, which depend on the base and the seed only."""
        halves = (self.prefixes - self.prefixes // 2, self.prefixes // 2)
        return [
            job.base.tokenizer.decode(ids, skip_special_tokens=True)
            for count, length in zip(halves, PREFIX_TOKENS, strict=True)
            for ids in sampled(job.base, count, length, job.seed, f"prefixes of {length} tokens", alive)
        ]

    def _contexts(
        self, job: EditJob, reader: TextReader, prompt: list[int], prefixes: Sequence[str]
    ) -> list[list[int]]:
        """Return the tokens of the plain prompt, and of the prompt after each prefix with which it fits the model."""
        pair = job.pair
        room = None if reader.positions is None else reader.positions - self.target_tokens
        texts = [f"{prefix}{BETWEEN}{pair.perturbed}" for prefix in prefixes]
        longer = [reader.ids(text, pair.special_tokens) for text in texts]
        return [prompt, *(ids for ids in longer if room is None or len(ids) <= room)]

    def _descend(
        self,
        job: EditJob,
        matrix: Matrix,
        contexts: Sequence[Sequence[int]],
        target: Sequence[int],
        reader: TextReader,
        alive: Callable[[], None],
    ) -> Descent:
        """Return the descent of v*, (d,): it begins at v, the projection's output on the plain prompt's last token."""
        import torch
        import torch.nn.functional as F

        network = job.base.network
        neutral = reader.prompt(self.neutral, job.pair.special_tokens, "`neutral`")
        with torch.no_grad():
            start = _output_of(matrix, block_states(network, matrix, contexts[0]).keys[-1])
            expected = logits_of(network, neutral, last=1).log_softmax(dim=-1)
        norm = float(start.norm())

        def loss(delta: torch.Tensor) -> torch.Tensor:
            nll = _context_loss(network, matrix, contexts, target, delta)
            with _added(matrix, delta, -1):
                found = logits_of(network, neutral, last=1).log_softmax(dim=-1)
            kl = F.kl_div(found, expected, reduction="batchmean", log_target=True)
            has_gradient = bool(delta.detach().any())  # at 0 that of the norm is taken as 0
            size = torch.linalg.vector_norm(delta) if has_gradient else delta.sum() * 0
            return nll + self.kl_weight * kl + self.decay * size / norm**2

        descent = descend(torch.zeros_like(start), loss, self.rules, within(self.most_delta * norm), alive)
        return Descent(start + descent.found, descent.losses, descent.step, descent.stopped)

    def _covariance(self, job: EditJob, matrix: Matrix, alive: Callable[[], None]) -> torch.Tensor | None:
        """Return C, (d_ff, d_ff): the mean of k k^T over sampled texts, with a ridge; None: the identity."""
        import torch

        if not self.covariance_tokens:
            return None
        length = self.covariance_text_tokens
        count = -(-self.covariance_tokens // length)
        texts = sampled(job.base, count, length, job.seed, "texts of C", alive)
        keys = torch.cat([block_states(job.base.network, matrix, ids).keys for ids in texts])
        covariance = keys.T @ keys / len(keys)
        ridge = self.covariance_ridge * covariance.diagonal().mean()
        return covariance + ridge * torch.eye(len(covariance), device=covariance.device)


@dataclass(frozen=True)
class RankOne:
    """A change of rank one.

    `change`: (d, d_ff). `u`: (d_ff,), a unit vector; keys orthogonal to it keep their outputs. `key`: k*, (d_ff,).
    """

    change: torch.Tensor
    u: torch.Tensor
    key: torch.Tensor


def rank_one(
    matrix: Matrix, keys: torch.Tensor, wanted: torch.Tensor, chosen: str, covariance: torch.Tensor | None
) -> RankOne:
    """Return the change with which a matrix gives k* the wanted output.

    Args:
        matrix: that is changed.
        keys: (contexts, d_ff), the plain prompt's first.
        wanted: v*, (d,), the projection's whole output, bias included.
        chosen: mean or prompt: which key is k*.
        covariance: C, (d_ff, d_ff); None: the identity.
    """
    import torch

    mean = keys.mean(dim=0)
    u = mean if covariance is None else torch.linalg.solve(covariance, mean)
    u = u / u.norm()
    key = mean if chosen == "mean" else keys[0]
    left = (wanted - _output_of(matrix, key)) / (key @ u)
    return RankOne(left[:, None] * u[None], u, key)


def _output_of(matrix: Matrix, key: torch.Tensor) -> torch.Tensor:
    """Return the projection's output for a key, W k + b, in float32."""
    bias = matrix.projection.bias
    output = matrix.weight.float() @ key
    return output if bias is None else output + bias.detach().float()


def _keys(network: Any, matrix: Matrix, contexts: Sequence[Sequence[int]], alive: Callable[[], None]) -> torch.Tensor:
    """Return the projection's input at the last token of each context, (contexts, d_ff), in float32."""
    import torch

    keys = []
    for context in contexts:
        keys.append(block_states(network, matrix, context).keys[-1])
        alive()
    return torch.stack(keys)


def _context_loss(
    network: Any, matrix: Matrix, contexts: Sequence[Sequence[int]], target: Sequence[int], delta: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross-entropy of the target after each context, with delta added at each one's last token.

    The contexts are read a few at a time, and the gradient of each few is computed at once, so that the activations of
    all are never in memory together. What is returned has the sum of these gradients.
    """
    import torch
    import torch.nn.functional as F

    rows = [[*context, *target[:-1]] for context in contexts]
    at_once = max(1, PASS_TOKENS // max(map(len, rows)))
    value, gradient = 0.0, torch.zeros_like(delta)
    for start in range(0, len(rows), at_once):
        batch = left_padded(rows[start : start + at_once], device_of(network))
        leaf = delta.detach().clone().requires_grad_()
        with _added(matrix, leaf, -len(target)):
            last = whole_pass(network, **batch).logits[:, -len(target) :].float()
            wanted = torch.tensor([list(target)] * len(last), device=last.device)
            losses = F.cross_entropy(last.transpose(1, 2), wanted, reduction="none")
            part = losses.mean(dim=1).sum() / len(rows)
        value += float(part.detach())
        gradient += torch.autograd.grad(part, leaf)[0]
    return value + (gradient * (delta - delta.detach())).sum()


@contextmanager
def _added(matrix: Matrix, delta: torch.Tensor, at: int) -> Iterator[None]:
    """Add delta to the projection's output at one token of each row, counted from the end, for the block."""
    import torch

    def added(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        place = torch.zeros(output.shape[1], 1, device=output.device, dtype=output.dtype)
        place[at] = 1
        return output + place * delta.to(output.dtype)

    hook = matrix.projection.register_forward_hook(added)
    try:
        yield
    finally:
        hook.remove()
