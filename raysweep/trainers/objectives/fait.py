"""Fault-aware fine-tuning (FAIT, also FGIT): tokens that separate a response from its near miss weigh more.

Source: Fan et al. 2025, arXiv 2503.16913 (ASE 2025, pages 1338-1350), equations 1 to 6. What the paper leaves open
is an argument with a default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from typing_extensions import override

from raysweep.errors import Doubt, Finding, UsageError
from raysweep.trainers.base import OBJECTIVES, InWords, LossSum, Recipe, Row
from raysweep.trainers.objectives.rejected import Comparing, Granularity, TokenPair
from raysweep.trainers.objectives.responses import response_losses, response_tokens

if TYPE_CHECKING:
    import torch


@OBJECTIVES.register("fait")
class Fait(Comparing):
    r"""The mean over a step's response tokens of -w log p(token).

    H = P x V for each token, with P the model's probability of it, not differentiated, and V its mark: 0, 1 or 2. With
    Hbar the mean over the marked tokens of response (c) and rejected response (a), W = alpha - |Hc - Ha| / (Hc + Ha):
    alpha where the model can't tell the two apart, alpha - 1 where it is sure. w is W at emphasised tokens and
    alpha - 1 at all others. Dropout, where the model has any, is on in both passes.

    Rows without any mark train as plain fine-tuning does (w = 1). Where exactly one side has marks, or all of the
    probabilities are 0, W is alpha. All three are counted.

    Args:
        alpha: at least 1. At 1 only marked tokens train, which the end of the text never is.
        hbar: what Hbar is a mean over: `marked` tokens, `weighted` by their marks, or the whole `sequence`.
        emphasis: `lines`: all marked tokens have the weight W; `tokens`: only those marked twice.
        granularity: what marks a token: its `line`, its own characters (`token`), or the sum of both (`hybrid`).
    """

    numbers = (
        "fait_weight",
        "emphasised_tokens",
        "rows_without_marks",
        "rows_marked_on_one_side",
        "rows_without_probability",
    )
    in_words: ClassVar[Mapping[str, InWords]] = {
        "fait_weight": InWords("mean weight W of the rows with marks"),
        "emphasised_tokens": InWords("emphasised tokens", "response tokens"),
        "rows_without_marks": InWords("rows with no mark on either side (weight 1)", "rows"),
        "rows_marked_on_one_side": InWords("rows with marks on one side only (W = alpha)", "rows"),
        "rows_without_probability": InWords("rows whose marked tokens all have probability 0 (W = alpha)", "rows"),
    }

    def __init__(
        self,
        alpha: float = 2.0,
        hbar: Literal["marked", "weighted", "sequence"] = "marked",
        emphasis: Literal["lines", "tokens"] = "lines",
        granularity: Granularity = "hybrid",
    ) -> None:
        if not alpha >= 1:
            raise UsageError(
                f"objective fait: alpha {alpha:g} is below 1, which would give shared tokens negative weights"
            )
        if emphasis == "tokens" and granularity != "hybrid":
            raise UsageError(
                f"objective fait: `emphasis: tokens` takes tokens that are marked twice, which needs "
                f"`granularity: hybrid`; with `granularity: {granularity}` leave it out"
            )
        self.alpha = alpha
        self.hbar = hbar
        self.emphasis = emphasis
        self.granularity: Granularity = granularity

    @override
    def check(self, recipe: Recipe) -> Iterator[Finding]:
        yield from super().check(recipe)
        if self.alpha == 1:
            text = "`alpha: 1` gives the end of a response no loss, so that models don't learn where to stop"
            yield "objective_args", Doubt(text)

    @override
    def of_pair(self, pair: TokenPair) -> Mapping[str, list[Any]]:
        chosen, rejected = pair.response, pair.rejected
        assert rejected is not None
        return {
            "input_ids": chosen.ids,
            "weights": chosen.weights,
            "marks": chosen.marks(self.granularity),
            "rejected_ids": rejected.ids,
            "rejected_marks": rejected.marks(self.granularity),
            "rejected_tokens": [len(rejected.ids) - rejected.start],
        }

    def tokens(self, response: int, rejected: int) -> int:
        """Return the response's and a third of the rejected one's, which has no backward pass."""
        return response + -(-rejected // 3)

    def normaliser(self, rows: Sequence[Row]) -> float:
        """Return the number of response tokens, ends included."""
        return response_tokens(rows)

    def loss(self, model: Any, batch: Mapping[str, torch.Tensor]) -> LossSum:
        """Return the sum of the tokens' weighted losses; the mean W and what was emphasised beside it."""
        import torch

        with torch.no_grad():
            rejected = self._hbar(model, batch)
        losses, chosen = response_losses(model, batch, "input_ids", batch["weights"])
        with torch.no_grad():
            rows = chosen.nonzero()[:, 0]
            marks = batch["marks"].roll(-1, dims=1)[chosen]
            of_response = torch.exp(-losses) * marks
            count = len(chosen)
            accepted = self._mean(of_response, marks, rows, count, batch["weights"].count_nonzero(dim=1))
            marked = [batch[name].any(dim=1) for name in ("marks", "rejected_marks")]
            weight, total = fait_weight(accepted, rejected, self.alpha), accepted + rejected
            one_side = marked[0] ^ marked[1]
            weight = weight.masked_fill(one_side, self.alpha)
            unmarked = ~(marked[0] | marked[1])
            emphasised = marks > (1 if self.emphasis == "tokens" else 0)
            factors = torch.where(emphasised, weight[rows], self.alpha - 1)
            factors = factors.masked_fill(unmarked[rows], 1.0)
        sides = marked[0] | marked[1]
        numbers: dict[str, tuple[torch.Tensor, torch.Tensor | float]] = {
            "fait_weight": (weight[sides].sum(), sides.sum()),
            "emphasised_tokens": (emphasised.sum(), float(len(emphasised))),
            "rows_without_marks": (unmarked.sum(), float(count)),
            "rows_marked_on_one_side": (one_side.sum(), float(count)),
            "rows_without_probability": ((sides & (total == 0)).sum(), float(count)),
        }
        return LossSum((losses * factors).sum(), numbers)

    def _hbar(self, model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Return Hbar of each row's rejected response, from a forward pass of its own."""
        import torch

        losses, chosen = response_losses(model, batch, "rejected_ids", batch["rejected_marks"])
        marks = batch["rejected_marks"].roll(-1, dims=1)[chosen]
        rows, length = chosen.nonzero()[:, 0], batch["rejected_tokens"][:, 0]
        return self._mean(torch.exp(-losses) * marks, marks, rows, len(chosen), length)

    def _mean(
        self, values: torch.Tensor, marks: torch.Tensor, rows: torch.Tensor, count: int, length: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean of H in each of `count` rows; 0 where a row has no marks."""
        total = values.new_zeros(count).index_add(0, rows, values)
        number = length.to(values)
        if self.hbar != "sequence":
            each = (marks > 0 if self.hbar == "marked" else marks).to(values)
            number = values.new_zeros(count).index_add(0, rows, each)
        return total / number.clamp(min=1)


def fait_weight(accepted: torch.Tensor, rejected: torch.Tensor, alpha: float) -> torch.Tensor:
    """Return W = alpha - |Hc - Ha| / (Hc + Ha) of each row, from alpha - 1 to alpha; alpha where both are 0."""
    total = accepted + rejected
    ratio = (accepted - rejected).abs() / total.masked_fill(total == 0, 1)
    return alpha - ratio
