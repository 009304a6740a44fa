"""Reports a training's loss, speed and memory while it runs, and keeps its loss curves."""

from __future__ import annotations

import functools
import resource
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from raysweep.accelerators import data_sheet_of
from raysweep.errors import HopelessError
from raysweep.machine import accelerator_in_use
from raysweep.models.architectures.shape import shape_of
from raysweep.records import TrainingStep
from raysweep.trainers.base import Services, TrainJob
from raysweep.trainers.encoding import EncodedSet
from raysweep.trainers.memory import flops_per_token
from raysweep.trainers.optimizer import learning_rate
from raysweep.trainers.validation import MeasureCurves

if TYPE_CHECKING:
    import numpy as np
    import torch

REPORTS = 200
"""Approximate number of reports of a training, besides those after the first and the last step. Losses are read in
batches, because reading one waits for the accelerator."""
CURVE_POINTS = 200
"""Most points of a training's loss curve in its counts."""


class TrainingReports:
    """What one worker knows of the losses of a training so far.

    `services`: take the reports. All workers report after the same steps, since their losses are added up.
    """

    def __init__(self, job: TrainJob, data: EncodedSet, services: Services, total: int, model_config: Any) -> None:
        self._job, self._data, self._services, self._total = job, data, services, total
        self._model_config = model_config
        self._tokens = 0
        self._added: list[list[float]] = []  # sums over all workers, see `add`, of steps before a checkpoint
        self._own: list[torch.Tensor] = []  # this worker's sums of each later step
        self._losses: list[tuple[int, float]] = []  # step and mean loss of each report
        self._validation_losses: list[tuple[int, float]] = []  # step and mean loss of the validation rows
        self._numbers: dict[str, list[tuple[int, float]]] = {}  # step and mean of each of the objective's numbers
        self._totals: dict[str, tuple[float, float]] = {}  # sum and count of each of them, over all steps
        self._measures = MeasureCurves()
        self._norm: float | torch.Tensor = 0.0  # of the latest step's gradients
        self._since = (time.monotonic(), 0)  # time and tokens of the latest report

    def add(self, sums: torch.Tensor, norm: float | torch.Tensor, tokens: int) -> None:
        """Add a step.

        Args:
            sums: this worker's sum of losses, the step's normaliser, then a sum and a count for each number of the
                objective.
            norm: of the step's gradients.
            tokens: of the step's rows on all workers.
        """
        self._own.append(sums)
        self._norm = norm
        self._tokens += tokens

    def leave_out(self, seconds: float) -> None:
        since, tokens = self._since
        self._since = (since + seconds, tokens)

    def is_due(self, done: int) -> bool:
        return done in (1, self._total) or done % max(1, self._total // REPORTS) == 0

    def has_validated(self, done: int) -> bool:
        return any(step == done for step, _ in self._validation_losses)

    def measured(self, done: int, measures: Mapping[str, float], margins: np.ndarray | None) -> None:
        """Keep what `HeldOut.measure` gave after `done` steps. `margins`: None where other weights become the model."""
        self._measures.add(done, measures, margins)

    def report(
        self, done: int, validation_loss: float | None = None, held_out: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        """Report and keep the mean loss since the last report, and that of the validation rows if given.

        `held_out`: measures of the validation rows, which `measured` keeps.

        Raises:
            HopelessError: a step's loss is not finite; the message names the step.
        """
        losses = self._sums()
        not_finite = (~losses[:, 0].isfinite()).nonzero()
        if len(not_finite):
            step, recipe = done - len(losses) + 1 + int(not_finite[0]), self._job.recipe
            raise HopelessError(
                f"{self._job.label}: the loss of step {step} of {self._total} is {float(losses[not_finite[0], 0])}; "
                f"lower `lr: {recipe.lr}`{' or use `precision: float32`' * (recipe.precision != 'float32')}"
            )
        self._own, self._added = [], []
        loss = float(losses[:, 0].sum() / losses[:, 1].sum())
        numbers = self._keep_numbers(done, losses.sum(dim=0).tolist()[2:])
        self._losses.append((done, loss))
        if validation_loss is not None:
            self._validation_losses.append((done, validation_loss))
        now, (before, tokens) = time.monotonic(), self._since
        self._since = (now, self._tokens)
        new = self._tokens - tokens
        speed = new / max(now - before, 1e-9)
        self._services.report(
            TrainingStep(
                step=done,
                total_steps=self._total,
                loss=loss,
                learning_rate=learning_rate(self._job.recipe, done - 1, self._total),
                tokens=self._tokens,
                gradient_norm=float(self._norm),
                tokens_per_second=speed,
                new_tokens=new,
                memory_bytes=peak_memory(),
                mfu=speed / self._peak_speed if self._peak_speed else None,
                validation_loss=validation_loss,
                numbers=numbers,
                held_out=held_out,
            )
        )

    def _keep_numbers(self, done: int, sums: Sequence[float]) -> dict[str, float]:
        """Keep the objective's numbers since the last report; return their means. `sums`: a sum and a count of each."""
        pairs = dict(zip(self._data.objective.numbers, zip(sums[::2], sums[1::2], strict=True), strict=True))
        numbers = {name: total / number for name, (total, number) in pairs.items() if number}
        for name, value in numbers.items():
            self._numbers.setdefault(name, []).append((done, value))
            total, number = self._totals.get(name, (0.0, 0.0))
            self._totals[name] = total + pairs[name][0], number + pairs[name][1]
        return numbers

    def counts(self) -> dict[str, Any]:
        counts = {
            "tokens": self._tokens,
            "memory_bytes": peak_memory(),
            "losses": _lists(thinned(self._losses, CURVE_POINTS)),
            "final_loss": self._losses[-1][1] if self._losses else float("nan"),
        }
        if self._numbers:
            counts["numbers"] = {name: _lists(thinned(points, CURVE_POINTS)) for name, points in self._numbers.items()}
            counts["number_totals"] = {name: list(pair) for name, pair in self._totals.items()}
        if self._data.held_out is not None:
            counts["held_out"] = self._measures.counts(self._data.held_out)
        rows = self._data.validation
        if rows is None:
            return counts
        return counts | {
            "validation_rows": len(rows.rows),
            "validation_dropped": dict(rows.dropped),
            "validation_losses": _lists(self._validation_losses),
        }

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps. Called on every worker, since their losses are added up."""
        self._added, self._own = self._sums().tolist(), []
        return {
            "tokens": self._tokens,
            "unreported": self._added,
            "losses": self._losses,
            "validation_losses": self._validation_losses,
            "numbers": self._numbers,
            "number_totals": self._totals,
            "measures": self._measures.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._tokens = state["tokens"]
        self._since = (time.monotonic(), self._tokens)
        self._added = [[float(value) for value in pair] for pair in state["unreported"]]
        self._losses = [(int(step), float(loss)) for step, loss in state["losses"]]
        self._validation_losses = [(int(step), float(loss)) for step, loss in state["validation_losses"]]
        self._numbers = {name: [(int(a), float(b)) for a, b in points] for name, points in state["numbers"].items()}
        self._totals = {name: (float(a), float(b)) for name, (a, b) in state["number_totals"].items()}
        self._measures = MeasureCurves.restored(state["measures"])

    def _sums(self) -> torch.Tensor:
        """Return (steps since the last report, 2 + 2 x numbers): the sums of `add` over all workers."""
        import torch

        width = 2 + 2 * len(self._data.objective.numbers)
        sums = torch.stack(self._own) if self._own else torch.zeros(0, width, dtype=torch.float64)
        if self._services.world_size > 1 and len(sums):
            normalisers = sums[:, 1].clone()  # of all workers' rows already
            torch.distributed.all_reduce(sums)
            sums[:, 1] = normalisers
        return torch.cat([torch.tensor(self._added, dtype=torch.float64).reshape(-1, width), sums.cpu()])

    @functools.cached_property
    def _peak_speed(self) -> float | None:
        """Tokens a second at the peak FLOP/s of all workers' accelerators; None where a number is not known."""
        device = data_sheet_of(accelerator_in_use())
        shape = shape_of(self._model_config.to_dict())
        if device is None or shape is None:
            return None
        width = sum(len(row["input_ids"]) for row in self._data.rows) / len(self._data.rows)
        peak = device[1].flops(self._job.recipe.precision) * self._services.world_size
        return peak / flops_per_token(shape, self._job.recipe, width)


def _lists(points: Sequence[tuple[int, float]]) -> list[list[float]]:
    return [list(point) for point in points]


def thinned(points: Sequence[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """Return at most `most` points (2 or more), evenly spaced, the first and the last included."""
    if len(points) <= most:
        return list(points)
    return [points[round(number * (len(points) - 1) / (most - 1))] for number in range(most)]


def peak_memory() -> int:
    """Return the most bytes that this process has held: on its accelerator since a reset, or in RAM so far."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
