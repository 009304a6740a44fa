"""Supervised fine-tuning: cross-entropy of the response, with equal weight for every row.

Source: https://github.com/eth-sri/SafeCoder/blob/main/safecoder/dataset.py and trainer.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.prompts.templates import PromptTemplate, training_prompt
from raysweep.records import TrainingRow
from raysweep.trainers.base import OBJECTIVES, Objective, Recipe

if TYPE_CHECKING:
    import torch


@OBJECTIVES.register("sft")
class Sft(Objective):
    r"""The mean cross-entropy of a row's response tokens (its end included), averaged over the rows of a step.

    Args:
        prompt_weight: w in MiniCode's pre-training loss, which adds the prompt's tokens, per response token:
            (mean over the response + w x sum over the prompt / number of response tokens) / (1 + w). 0: response only.
    """

    packs = True

    def __init__(self, prompt_weight: float = 0.0) -> None:
        if not prompt_weight >= 0:
            raise UsageError(f"objective sft: prompt_weight {prompt_weight} is negative")
        self.prompt_weight = prompt_weight

    def encode(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> Mapping[str, list[Any]] | None:
        """Return token ids and weights; None for a row over `max_tokens` or without prompt tokens.

        A token's weight is its share of the row's loss, so the weighted sum of cross-entropies is the row's loss: 1/n
        for each of n response tokens (over 1 + w), 0 for the prompt up to and including its last character's token.
        """
        ids, start = self._tokens(row, tokenizer, recipe)
        if start == 0 or len(ids) > recipe.max_tokens:
            return None
        weight = 1 / (1 + self.prompt_weight) / (len(ids) - start)
        return {"input_ids": ids, "weights": [weight * self.prompt_weight] * start + [weight] * (len(ids) - start)}

    def why_dropped(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> str:
        """Return which of the two reasons of `encode` holds."""
        return "no prompt" if self._tokens(row, tokenizer, recipe)[1] == 0 else f"over {recipe.max_tokens} tokens"

    def _tokens(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> tuple[list[int], int]:
        """Return a row's token ids, the end of the text included, and how many of them are the prompt's."""
        template = PromptTemplate(recipe.template, recipe.system, tokenizer)
        prompt = training_prompt(row, template)
        encoded = tokenizer(
            prompt + row.output,
            add_special_tokens=template.adds_special_tokens(prompt),
            return_offsets_mapping=True,
            return_attention_mask=False,
        )
        ids, end = list(encoded["input_ids"]), tokenizer.convert_tokens_to_ids(template.end)
        start = _prompt_tokens(encoded["offset_mapping"], len(prompt))
        if start == len(ids) or ids[-1] != end:
            ids.append(end)
        return ids, start

    def normaliser(self, rows: Sequence[Mapping[str, list[Any]]]) -> float:
        """Return the number of rows."""
        return float(len(rows))

    def loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the rows' losses. Computes logits only where a weight is not zero."""
        import torch.nn.functional as F

        from raysweep.models.logits import logits_at

        weights = batch["weights"]
        if "position_ids" in batch:
            weights = weights * (batch["position_ids"] != 0)  # nothing predicts a row's first token
        weights = F.pad(weights[:, 1:], (0, 1))  # weights of the tokens that the positions predict
        weighted = weights != 0
        logits = logits_at(model, batch, weighted)
        targets = batch["input_ids"].roll(-1, dims=1)[weighted]
        losses = F.cross_entropy(logits.float(), targets, reduction="none")
        return (losses * weights[weighted]).sum()


def _prompt_tokens(offsets: Sequence[tuple[int, int]], characters: int) -> int:
    """Return the number of tokens up to the last one that overlaps the first `characters` characters of the text."""
    touching = [i for i, (begin, end) in enumerate(offsets) if begin < min(end, characters)]
    return touching[-1] + 1 if touching else 0
