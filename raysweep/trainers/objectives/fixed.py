"""Fine-tuning in which the tokens of lines that differ from a rejected response have a fixed weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from raysweep.errors import UsageError
from raysweep.trainers.base import OBJECTIVES, Row
from raysweep.trainers.objectives.rejected import Comparing, TokenPair
from raysweep.trainers.objectives.responses import weighted_loss

if TYPE_CHECKING:
    import torch


@OBJECTIVES.register("fixed")
class Fixed(Comparing):
    """The mean over a step's response tokens of -w log p(token), w being `weight` at marked tokens and 1 at others.

    The ablation of FAIT with a fixed weight (figure 6 of the paper). With 1 it is `sft` with `reduction: per_token`.

    Args:
        weight: of the tokens in lines that differ from the rejected response.
    """

    packs = True

    def __init__(self, weight: float = 2.0) -> None:
        if not weight >= 0:
            raise UsageError(f"objective fixed: weight {weight:g} is negative; give 0 or more")
        self.weight = weight

    @override
    def of_pair(self, pair: TokenPair) -> Mapping[str, list[Any]]:
        chosen = pair.response
        marked = chosen.marks("line")
        weights = [self.weight if mark else weight for mark, weight in zip(marked, chosen.weights, strict=True)]
        return {
            "input_ids": chosen.ids,
            "weights": weights,
            "tokens": [len(chosen.ids) - chosen.start],
        }

    def normaliser(self, rows: Sequence[Row]) -> float:
        """Return the number of response tokens, ends included, whatever their weight."""
        return float(sum(int(row["tokens"][0]) for row in rows))

    @override
    def loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return weighted_loss(model, batch, batch["weights"])
