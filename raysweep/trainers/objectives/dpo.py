"""Direct preference optimisation: the response becomes more probable than the rejected one, relative to the base.

Source: Rafailov et al. 2023 (arXiv 2305.18290), equation 7; as in TRL's DPOTrainer with `loss_type="sigmoid"`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from raysweep.errors import Doubt, Finding, UsageError
from raysweep.trainers.base import OBJECTIVES, InWords, LossSum, Recipe, Row, RowServices
from raysweep.trainers.objectives.rejected import Comparing, TokenPair
from raysweep.trainers.objectives.responses import response_losses

if TYPE_CHECKING:
    import torch


@OBJECTIVES.register("dpo")
class Dpo(Comparing):
    """The mean over rows of -log sigmoid(beta x ((log p(y) - log p_ref(y)) - (log p(r) - log p_ref(r)))).

    y is the response, r the rejected one, their probabilities are products over their tokens, ends included. The
    reference is the model as training starts. Its log-probabilities are computed once and kept in the store, so a
    restart, another seed or another beta don't compute them again.

    Args:
        beta: how much a deviation from the reference costs.
    """

    numbers = ("margin", "preferred")
    in_words: ClassVar[Mapping[str, InWords]] = {
        "margin": InWords("mean margin over the reference, times beta (nats)"),
        "preferred": InWords("rows whose response gained on the rejected one, relative to the reference", "rows"),
    }
    reads_marks = False

    def __init__(self, beta: float = 0.1) -> None:
        if not beta > 0:
            raise UsageError(f"objective dpo: beta {beta} isn't above 0")
        self.beta = beta

    @override
    def check(self, recipe: Recipe) -> Iterator[Finding]:
        yield from super().check(recipe)
        if self.beta > 10:
            what = f"teaches nothing once its response gained {10 / self.beta:.2g} nats; usual: 0.01 to 1"
            yield "objective_args", Doubt(f"with `beta: {self.beta:g}` a preference pair {what}")

    @override
    def of_pair(self, pair: TokenPair) -> Mapping[str, list[Any]]:
        chosen, rejected = pair.response, pair.rejected
        assert rejected is not None
        return {
            "input_ids": chosen.ids,
            "weights": chosen.weights,
            "rejected_ids": rejected.ids,
            "rejected_weights": rejected.weights,
        }

    @override
    def tokens(self, response: int, rejected: int) -> int:
        """Twice the longer one's: both lie in one forward pass."""
        return 2 * max(response, rejected)

    def prepare(self, model: Any, rows: Sequence[Row], services: RowServices) -> Sequence[Row]:
        """Return the rows with the reference's two log-probabilities as `reference`."""
        import numpy as np

        reference = services.of_rows(
            "log-probabilities of responses and rejected responses",
            rows,
            lambda batch: log_probabilities(model, batch),
        )
        return [{**row, "reference": values.astype(np.float32)} for row, values in zip(rows, reference, strict=True)]

    @override
    def normaliser(self, rows: Sequence[Row]) -> float:
        return float(len(rows))

    def loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> LossSum:
        """Return the sum of the rows' losses; the rows' margins, and how many prefer the response, beside it."""
        import torch.nn.functional as F

        ratios = log_probabilities(model, batch) - batch["reference"][:, :2]
        margins = self.beta * (ratios[:, 0] - ratios[:, 1])
        kept, rows = margins.detach(), len(margins)
        return LossSum(
            -F.logsigmoid(margins).sum(), {"margin": (kept.sum(), rows), "preferred": ((kept > 0).sum(), rows)}
        )


def log_probabilities(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return (rows, 2): the natural logarithms of the probabilities of response and rejected response.

    Both go through one forward pass: DistributedDataParallel allows one for each backward pass.
    """
    import torch
    import torch.nn.functional as F

    width = max(batch["input_ids"].shape[1], batch["rejected_ids"].shape[1])

    def both(first: str, second: str) -> torch.Tensor:
        return torch.cat([F.pad(batch[name], (0, width - batch[name].shape[1])) for name in (first, second)])

    joined = {
        "input_ids": both("input_ids", "rejected_ids"),
        "attention_mask": both("attention_mask", "rejected_attention_mask"),
    }
    losses, chosen = response_losses(model, joined, "input_ids", both("weights", "rejected_weights"))
    rows = chosen.nonzero()[:, 0]
    return -losses.new_zeros(len(chosen)).index_add(0, rows, losses).reshape(2, -1).T
