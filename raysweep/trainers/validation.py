"""What validation rows decide: measures by which all objectives are compared, and the best epoch (`keep: best`).

The measures are cross-entropy, and how surely pairs are told apart. An objective's own loss can't compare recipes: that
of FAIT changes with its weights, and that of DPO with its beta. Here every recipe has the same rows and the same
numbers, also before the first step.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysweep.errors import HopelessError
from raysweep.records import TrainingRow
from raysweep.trainers.base import Recipe, Row
from raysweep.trainers.batching import compact
from raysweep.trainers.objectives.responses import encode_apart, encode_response, response_losses
from raysweep.trainers.sharding.base import Sharding

if TYPE_CHECKING:
    import numpy as np
    import torch

CROSS_ENTROPY, PREFERRED, MARGIN = "validation_cross_entropy", "validation_preferred", "validation_margin"
"""Names of the measures: nats a response token; a share from 0 to 1; nats a pair."""
WEIGHTS_FILE = "best.pt"
"""The file in a checkpoint with the best epoch's weights."""


@dataclass(frozen=True)
class HeldOut:
    """The texts of the validation rows: all responses, then the rejected responses of the rows that have one.

    Attributes:
        texts: encoded prompts with a response, with `input_ids` and `weights`.
        responses: number of responses.
        paired: the response of each rejected one, by its place among the texts.
        pairs: names the pairs; empty without any. Trainings with the same name can be compared pair by pair.
        dropped: number of rows that can't be used, by reason.
    """

    texts: Sequence[Row]
    responses: int
    paired: Sequence[int]
    pairs: str
    dropped: Mapping[str, int]

    def measure(self, log_probabilities: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        """Return the measures by name, and the margin of each pair in nats: log p(response) - log p(rejected one).

        The cross-entropy is the mean over response tokens, their ends included; then the share of pairs whose response
        is more probable than the rejected one, and the mean margin; both are NaN if a margin is. Without pairs there is
        only the first.

        Args:
            log_probabilities: of each text, in nats.
        """
        import numpy as np

        tokens = sum(int(np.count_nonzero(text["weights"])) for text in self.texts[: self.responses])
        measures = {CROSS_ENTROPY: -float(log_probabilities[: self.responses].sum()) / tokens}
        margins = log_probabilities[list(self.paired)] - log_probabilities[self.responses :]
        if len(margins):
            preferred = np.where(np.isnan(margins), np.nan, margins > 0)
            measures |= {PREFERRED: float(preferred.mean()), MARGIN: float(margins.mean())}
        return measures, margins


@dataclass(frozen=True)
class _HeldOutText:
    """A prompt with a response: the encoded row, the ids of both together, and why it can't be used, if it can't."""

    row: Row
    ids: list[int]
    unusable: str


def hold_out(
    rows: Sequence[TrainingRow], tokenizer: Any, recipe: Recipe, architecture: str = "causal"
) -> HeldOut | None:
    """Encode validation rows alike for every objective; None where no response can be used.

    A response is left out that has over `max_tokens` with its prompt, or a prompt without tokens. A rejected response
    is left out where its row is, where it is too long itself, and where it is the response: which of equal ones is more
    probable would be a matter of rounding. `architecture`: of the model.
    """
    text = _apart if architecture == "seq2seq" else _together
    responses, rejected, paired = [], [], []
    dropped, name = Counter[str](), hashlib.sha256()
    for row in sorted(rows, key=lambda row: row.row_id):
        response = text(row, row.output, tokenizer, recipe)
        if response.unusable:
            dropped[response.unusable] += 1
            continue
        responses.append(response.row)
        if row.rejected is None:
            continue
        other = text(row, row.rejected, tokenizer, recipe)
        if why := "equal" if other.ids == response.ids else other.unusable:
            dropped[f"rejected response {why}"] += 1
            continue
        paired.append(len(responses) - 1)
        rejected.append(other.row)
        name.update(f"{row.row_id} {response.ids} {other.ids} ".encode())
    if not responses:
        return None
    pairs = name.hexdigest()[:16] if paired else ""
    return HeldOut([*responses, *rejected], len(responses), paired, pairs, dict(dropped))


def _together(row: TrainingRow, response: str, tokenizer: Any, recipe: Recipe) -> _HeldOutText:
    encoded = encode_response(row, response, tokenizer, recipe)
    too_long = f"over {recipe.max_tokens} tokens" if len(encoded.ids) > recipe.max_tokens else ""
    unusable = too_long if encoded.start else "without prompt"
    return _HeldOutText(compact({"input_ids": encoded.ids, "weights": encoded.weights}), encoded.ids, unusable)


def _apart(row: TrainingRow, response: str, tokenizer: Any, recipe: Recipe) -> _HeldOutText:
    encoded = encode_apart(row, response, tokenizer, recipe)
    unusable = encoded.unusable(recipe.max_tokens) if encoded.prompt else "without prompt"
    ones = [1.0] * len(encoded.response)
    return _HeldOutText(compact(encoded.row(ones)), [*encoded.prompt, *encoded.response], unusable)


def log_probabilities_of_texts(model: Any, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Return (texts, 1), float64: the natural logarithm of the probability of each text's response.

    The texts lie beside each other, or one after the other in one sequence (`position_ids`).
    """
    import torch

    losses, chosen = response_losses(model, batch, "input_ids", batch["weights"])
    if "position_ids" in batch:
        text = (batch["position_ids"] == 0).cumsum(dim=1) - 1
    else:
        text = torch.arange(len(chosen), device=chosen.device)[:, None].expand_as(chosen)
    sums = torch.zeros(int(text.max()) + 1, dtype=torch.float64, device=losses.device)
    return -sums.index_add(0, text[chosen], losses.double())[:, None]


@dataclass
class MeasureCurves:
    """The measures of a training so far, with the margins before its first step and at the latest validation.

    Attributes:
        points: (step, value) by measure; step 0 is the model before training.
        before: margins of the pairs at step 0.
        latest: margins of the pairs at the latest validation, or of those the one whose weights are the model.
    """

    points: dict[str, list[tuple[int, float]]] = dataclasses.field(default_factory=dict)
    before: list[float] = dataclasses.field(default_factory=list)
    latest: list[float] = dataclasses.field(default_factory=list)

    def add(self, step: int, measures: Mapping[str, float], margins: np.ndarray | None) -> None:
        """Add a validation; without `margins`, those of an earlier one stay the latest."""
        for name, value in measures.items():
            self.points.setdefault(name, []).append((step, value))
        if margins is not None:
            self.latest = [round(float(margin), 4) for margin in margins]
        if step == 0:
            self.before = self.latest

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"points": self.points, "before": self.before, "latest": self.latest}

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> MeasureCurves:
        points = {name: [(int(step), float(value)) for step, value in curve] for name, curve in state["points"].items()}
        return cls(points, list(state["before"]), list(state["latest"]))

    def counts(self, held_out: HeldOut) -> dict[str, Any]:
        return {
            "rows": held_out.responses,
            "dropped": dict(held_out.dropped),
            "curves": {name: [list(point) for point in curve] for name, curve in self.points.items()},
            "pairs": held_out.pairs,
            "margins_before": self.before,
            "margins": self.latest,
        }


class BestEpoch:
    """The best epoch of a training so far; of equal ones, the first. All workers decide alike.

    The first worker holds a copy of its trained weights in the CPU's memory.

    Attributes:
        step: steps until the end of that epoch; 0: none yet.
        loss: its validation loss.
    """

    def __init__(self, sharding: Sharding) -> None:
        self.step, self.loss = 0, math.inf
        self._sharding = sharding
        self._weights: Mapping[str, torch.Tensor] = {}

    def ends(self, step: int, loss: float, is_last: bool) -> bool:
        """Take note of an epoch and return whether it is the best so far. Called on every worker.

        `loss`: its validation loss; the same on all workers. `is_last`: no other epoch follows, so the model itself has
        the weights.
        """
        if not loss < self.loss:
            return False
        self.step, self.loss = step, loss
        self._weights = {} if is_last else self._sharding.trained()
        return True

    def put_back(self, total: int, label: str) -> None:
        """Put back the best epoch's weights after `total` steps; raise HopelessError if no loss was finite."""
        if not self.step:
            raise HopelessError(f"{label}: no epoch has a finite validation loss by which `keep: best` could choose")
        if self.step < total:
            self._sharding.put_back(self._weights)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps for all workers."""
        return {"best": [self.step, self.loss]}

    def write(self, folder: Path) -> None:
        """Write the weights into a checkpoint's folder. Called on the first worker."""
        import torch

        if self.step:
            torch.save(dict(self._weights), folder / WEIGHTS_FILE)

    def restore(self, state: Mapping[str, Any], folder: Path, rank: int) -> None:
        """Go on from what `state` returned and `write` wrote. `rank`: this worker's."""
        import torch

        self.step, self.loss = int(state["best"][0]), float(state["best"][1])
        if self.step and rank == 0:
            self._weights = torch.load(folder / WEIGHTS_FILE, map_location="cpu", weights_only=True)
