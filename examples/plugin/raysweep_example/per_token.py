"""Objective `per_token`: cross-entropy of the response, with equal weight for each of its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raysweep.prompts.templates import PromptTemplate, training_prompt
from raysweep.records import TrainingRow
from raysweep.trainers.base import Objective, Recipe

if TYPE_CHECKING:
    import torch


class PerToken(Objective):
    """The cross-entropy of a step's response tokens, the end included, averaged over all of them."""

    def encode(self, row: TrainingRow, tokenizer: Any, recipe: Recipe) -> Mapping[str, list[Any]] | None:
        """Return token ids, and weight 1 for response tokens; None for a row that is too long or has no prompt."""
        template = PromptTemplate(recipe.template, recipe.system, tokenizer)
        prompt = training_prompt(row, template)
        special = template.adds_special_tokens(prompt)
        encoded = tokenizer(prompt + row.output, add_special_tokens=special, return_offsets_mapping=True)
        ids, starts = list(encoded["input_ids"]), [start for start, _ in encoded["offset_mapping"]]
        end = tokenizer.convert_tokens_to_ids(template.end)
        if ids[-1:] != [end]:
            ids.append(end)
        if not prompt or len(ids) > recipe.max_tokens:
            return None
        return {"input_ids": ids, "weights": [float(start >= len(prompt)) for start in starts[: len(ids) - 1]] + [1.0]}

    def normaliser(self, rows: Sequence[Mapping[str, list[Any]]]) -> float:
        """Return the number of response tokens."""
        return sum(sum(row["weights"][1:]) for row in rows)

    def loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return the sum of the response tokens' losses."""
        import torch.nn.functional as F

        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits
        targets, weights = batch["input_ids"][:, 1:], batch["weights"][:, 1:]
        losses = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), targets, reduction="none")
        return (losses * weights).sum()
