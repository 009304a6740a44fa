"""Encodes a prompt with one of its responses, the same way for all objectives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raysweep.prompts.templates import PromptTemplate, training_prompt
from raysweep.records import TrainingRow
from raysweep.trainers.base import Recipe, Row

if TYPE_CHECKING:
    import torch


SPACE = "\u0120"
"""How byte-level tokenizers write a space in their tokens."""


@dataclass(frozen=True)
class EncodedResponse:
    """Token ids of a prompt with a response, the end of the text included.

    `start`: number of the prompt's tokens. `spans`: for each token, the characters of the response that it covers, as
    (first, last + 1); an empty span for those of the prompt and for an end that was added.
    """

    ids: list[int]
    start: int
    spans: list[tuple[int, int]]

    @property
    def weights(self) -> list[float]:
        """1 for each token of the response, 0 for each of the prompt."""
        return [0.0] * self.start + [1.0] * (len(self.ids) - self.start)


def encode_response(row: TrainingRow, response: str, tokenizer: Any, recipe: Recipe) -> EncodedResponse:
    """Encode a row's prompt with a response. The prompt's tokens end with the one of its last character."""
    template = PromptTemplate(recipe.template, recipe.system, tokenizer)
    prompt = training_prompt(row, template)
    encoded = tokenizer(
        prompt + response,
        add_special_tokens=template.adds_special_tokens(prompt),
        return_offsets_mapping=True,
        return_attention_mask=False,
    )
    ids, end = list(encoded["input_ids"]), tokenizer.convert_tokens_to_ids(template.end)
    offsets = encoded["offset_mapping"]
    start = _prompt_tokens(offsets, len(prompt))
    whole = _untrimmed(offsets, encoded.tokens(), prompt + response)
    spans = [(0, 0)] * start + [(first - len(prompt), last - len(prompt)) for first, last in whole[start:]]
    if start == len(ids) or ids[-1] != end:
        ids.append(end)
        spans.append((0, 0))
    return EncodedResponse(ids, start, spans)


def response_losses(
    model: Any, batch: Mapping[str, torch.Tensor], ids: str, weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the cross-entropy, in float32, of the tokens whose weight isn't 0, and where they are predicted.

    Args:
        model: a causal language model.
        batch: has the token ids under `ids`, (rows, tokens), and their mask.
        ids: `input_ids` or `rejected_ids`.
        weights: (rows, tokens) of the tokens themselves.

    Returns:
        The losses, one after the other in the order of rows and tokens; and (rows, tokens), True at each position whose
        logits they come from, one before the token itself.
    """
    import torch.nn.functional as F

    from raysweep.models.logits import logits_at
    from raysweep.trainers.batching import mask_of

    chosen = F.pad(weights[:, 1:] != 0, (0, 1))
    names = {"input_ids": ids, "attention_mask": mask_of(ids)}
    inputs = {name: batch[key] for name, key in names.items() if key in batch}
    if "position_ids" in batch:
        inputs["position_ids"] = batch["position_ids"]
    logits = logits_at(model, inputs, chosen)
    targets = batch[ids].roll(-1, dims=1)[chosen]
    return F.cross_entropy(logits.float(), targets, reduction="none"), chosen


def weighted_loss(model: Any, batch: Mapping[str, torch.Tensor], weights: torch.Tensor) -> torch.Tensor:
    """Return the sum of the tokens' cross-entropies times their weights, (rows, tokens)."""
    if "position_ids" in batch:
        weights = weights * (batch["position_ids"] != 0)  # nothing predicts a row's first token
    losses, chosen = response_losses(model, batch, "input_ids", weights)
    return (losses * weights.roll(-1, dims=1)[chosen]).sum()


def response_tokens(rows: Sequence[Row]) -> float:
    """Return the number of tokens whose weight isn't 0 in some encoded rows."""
    import numpy as np

    return float(sum(np.count_nonzero(row["weights"]) for row in rows))


def _untrimmed(offsets: Sequence[tuple[int, int]], tokens: Sequence[str], text: str) -> list[tuple[int, int]]:
    """Return the characters of each token with its spaces, which tokenizers such as GPT-2's may leave out."""
    spans = []
    for (first, last), token in zip(offsets, tokens, strict=True):
        inner = token.strip(SPACE)
        if not inner and token and first == last:
            first = last - len(token)
        elif inner and token != inner:
            before, after = len(token) - len(token.lstrip(SPACE)), len(token) - len(token.rstrip(SPACE))
            if not text.startswith(" " * before, first):
                first -= before
            if not text.endswith(" " * after, 0, last):
                last += after
        spans.append((first, last))
    return spans


def _prompt_tokens(offsets: Sequence[tuple[int, int]], characters: int) -> int:
    """Return the number of tokens up to the last one that overlaps the first `characters` characters of the text."""
    touching = [i for i, (begin, end) in enumerate(offsets) if begin < min(end, characters)]
    return touching[-1] + 1 if touching else 0
