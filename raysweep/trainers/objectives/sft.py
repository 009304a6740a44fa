"""Supervised fine-tuning: cross-entropy of the response, every row counting alike.

Source: https://github.com/eth-sri/SafeCoder/blob/main/safecoder/dataset.py and trainer.py (study.md section 5).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raysweep.errors import UsageError
from raysweep.models.prompts import training_prompt
from raysweep.records import TrainingRow
from raysweep.trainers.base import OBJECTIVES, Objective, Recipe

if TYPE_CHECKING:
    import torch


@OBJECTIVES.register("sft")
class Sft(Objective):
    r"""The mean cross-entropy of a row's response tokens (eos included), averaged over the rows of a step.

    Args:
        prompt_weight: w of MiniCode's pre-training loss, which adds the prompt's tokens, per response token:
            (mean over the response + w x sum over the prompt / number of response tokens) / (1 + w). 0: none.
    """

    reduction = "per_row"

    def __init__(self, prompt_weight: float = 0.0) -> None:
        if not prompt_weight >= 0:
            raise UsageError(f"objective sft: prompt_weight {prompt_weight} is negative")
        self.prompt_weight = prompt_weight

    def encode(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> Mapping[str, list[Any]] | None:
        """Return token ids and weights; None for a row over `max_tokens` or without prompt tokens.

        A token's weight is its share of the row's loss, so the weighted sum of cross-entropies is the row's loss: 1/n
        for each of n response tokens (over 1 + w), 0 for the prompt up to and including its last character's token.
        """
        prompt = training_prompt(row, recipe.template)
        encoded = tokenizer(prompt + row.output, return_offsets_mapping=True, return_attention_mask=False)
        ids = list(encoded["input_ids"])
        start = _prompt_tokens(encoded["offset_mapping"], len(prompt))
        if start == len(ids) or ids[-1] != tokenizer.eos_token_id:
            ids.append(tokenizer.eos_token_id)
        if start == 0 or len(ids) > recipe.max_tokens:
            return None
        one = 1 / (1 + self.prompt_weight) / (len(ids) - start)
        return {"input_ids": ids, "weights": [one * self.prompt_weight] * start + [one] * (len(ids) - start)}

    def loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (sum of the rows' losses, number of rows). Logits are computed only where a weight is not zero."""
        import torch.nn.functional as F

        from raysweep.models.logits import logits_at

        weights = F.pad(batch["weights"][:, 1:], (0, 1))  # of the token that each position predicts
        where = weights != 0
        logits = logits_at(model, batch["input_ids"], batch["attention_mask"], where)
        targets = batch["input_ids"].roll(-1, dims=1)[where]
        losses = F.cross_entropy(logits.float(), targets, reduction="none")
        return (losses * weights[where]).sum(), weights.new_tensor(float(len(weights)))


def _prompt_tokens(offsets: Sequence[tuple[int, int]], characters: int) -> int:
    """Return how many tokens, from the start, touch the text's first `characters` characters."""
    touching = [i for i, (begin, end) in enumerate(offsets) if begin < min(end, characters)]
    return touching[-1] + 1 if touching else 0
