"""The measured speed of trainings that a store has, by base model and recipe: it replaces estimates of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.planning.plan import SweepPlan
from raysweep.storage.store import Store


@dataclass(frozen=True)
class Speed:
    """What a step of one base and recipe took, on average over the finished trainings on one device."""

    device: str
    trainings: int
    tokens_per_step: float
    seconds_per_step: float
    cpu_seconds_per_step: float

    @property
    def tokens_per_second(self) -> float:
        """Trained tokens, of all workers, in a second."""
        return self.tokens_per_step / self.seconds_per_step if self.seconds_per_step else 0.0


def measured_rates(plan: SweepPlan, store: Store) -> dict[tuple[str, str], Speed]:
    """Return the rate of each base and recipe (their names) of which the store has trainings with their seconds."""
    finished: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    models = [cell for cell in plan.cells if cell.model is not None]
    exists = store.survey(cell.model for cell in models if cell.model)
    for cell in models:
        may_be_dropped = not (cell.keeps_model and cell.keeps_unchosen)  # its counts stay
        if cell.model and (exists[cell.model.key] or may_be_dropped):
            finished.setdefault((cell.base.name, cell.cell.recipe), []).append(store.counts(cell.model))
    return {key: rate for key, counts in finished.items() if (rate := rate_of(counts))}


def rate_of(counts: Sequence[Mapping[str, Any]]) -> Speed | None:
    """Return the rate that trainings' counts give, those of the last one's device; None if none has what it takes.

    A training that was resumed has the seconds since then, so only its steps since then count.
    """
    usable = [count for count in counts if count.get("seconds") and count.get("tokens") and _steps(count) > 0]
    if not usable:
        return None
    device = str(usable[-1].get("device", "cpu"))
    same = [count for count in usable if str(count.get("device", "cpu")) == device]
    steps = sum(_steps(count) for count in same)
    tokens = sum(count["tokens"] * _steps(count) / count["steps"] for count in same)
    seconds, cpu = (sum(float(count.get(name, 0.0)) for count in same) for name in ("seconds", "cpu_seconds"))
    return Speed(device, len(same), tokens / steps, seconds / steps, cpu / steps)


def _steps(counts: Mapping[str, Any]) -> int:
    return int(counts.get("steps", 0)) - int(counts.get("resumed_from", 0))
