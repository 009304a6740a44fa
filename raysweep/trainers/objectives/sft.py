"""Supervised fine-tuning: cross-entropy of the response, with equal weight for every row.

Source: https://github.com/eth-sri/SafeCoder/blob/main/safecoder/dataset.py and trainer.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.records import TrainingRow
from raysweep.trainers.base import OBJECTIVES, Objective, Recipe, Row
from raysweep.trainers.objectives.responses import (
    encode_apart,
    encode_response,
    encode_turns,
    response_tokens,
    weighted_loss,
)

if TYPE_CHECKING:
    import torch


@OBJECTIVES.register("sft")
class Sft(Objective):
    r"""The mean cross-entropy of a row's response tokens (its end included), averaged over the rows of a step.

    Args:
        prompt_weight: w in MiniCode's pre-training loss, which adds the prompt's tokens, per response token:
            (mean over the response + w x sum over the prompt / number of response tokens) / (1 + w). 0: response only.
        reduction: `per_row` gives every row the same weight, `per_token` every response token of a step, so that long
            responses count more.
    """

    packs = True
    trains_turns = True
    architectures = ("causal", "seq2seq")

    def __init__(self, prompt_weight: float = 0.0, reduction: Literal["per_row", "per_token"] = "per_row") -> None:
        if not prompt_weight >= 0:
            raise UsageError(f"objective sft: prompt_weight {prompt_weight} is negative; give 0 or more")
        if prompt_weight and reduction == "per_token":
            raise UsageError(
                "objective sft: `prompt_weight` counts with `reduction: per_row` only; leave one of them out"
            )
        self.prompt_weight = prompt_weight
        self.reduction = reduction

    @override
    def use_for(self, architecture: str) -> None:
        super().use_for(architecture)
        if architecture == "seq2seq" and self.prompt_weight:
            raise UsageError(
                "objective sft: an encoder-decoder model writes no prompt, so `prompt_weight` has no meaning; remove it"
            )

    def encode(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> Mapping[str, list[Any]] | None:
        """Return token ids and weights; None for one that is unusable (`PromptAndResponse.unusable`).

        A token's weight is its share of the row's loss, so the weighted sum of cross-entropies is the row's loss: 1/n
        for each of n response tokens (over 1 + w), 0 for the prompt up to and including its last character's token.
        With `loss_on: all` these are the tokens of all answers, and the prompt's are the others.
        Per token each weight is 1. For a model with an encoder and a decoder `labels` has the response, with a weight
        for each of its tokens, and `input_ids` the prompt; each may have `max_tokens`.
        """
        if self.architecture == "seq2seq":
            apart = encode_apart(row, row.output, tokenizer, recipe).fitted(recipe)
            share = 1.0 if self.reduction == "per_token" else 1 / len(apart.response)
            return None if apart.unusable(recipe.max_tokens) else apart.row([share] * len(apart.response))
        whole, trained = encode_turns(row, tokenizer, recipe)
        encoded = whole.fitted(recipe)
        ids, trained = encoded.ids, trained[: len(encoded.ids)]
        if encoded.unusable(recipe.max_tokens):
            return None
        if self.reduction == "per_token":
            return {"input_ids": ids, "weights": trained}
        weight = 1 / (1 + self.prompt_weight) / sum(trained)
        return {"input_ids": ids, "weights": [weight if one else weight * self.prompt_weight for one in trained]}

    @override
    def why_dropped(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> str:
        if self.architecture == "seq2seq":
            return encode_apart(row, row.output, tokenizer, recipe).fitted(recipe).unusable(recipe.max_tokens)
        return encode_response(row, row.output, tokenizer, recipe).fitted(recipe).unusable(recipe.max_tokens)

    @override
    def normaliser(self, rows: Sequence[Row]) -> float:
        return float(len(rows)) if self.reduction == "per_row" else response_tokens(rows)

    @override
    def loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Logits are computed only where a weight is not zero."""
        return weighted_loss(model, batch, batch["weights"])
