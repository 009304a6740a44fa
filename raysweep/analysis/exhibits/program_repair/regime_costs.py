"""Kind ``regime-costs``: what each regime takes: hours, memory, and the share of the weights that it trains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.exhibits.base import EXHIBITS, Drawn, Evidence, Id, NothingToDraw, Text
from raysweep.analysis.exhibits.program_repair.models import RepairExhibit, RepairModel
from raysweep.analysis.exhibits.recipes.regimes import NONE, REGIMES
from raysweep.analysis.tables.choices import ReportedCandidate
from raysweep.analysis.tables.records import Field, one_each, record_table
from raysweep.analysis.tables.table import TableCell
from raysweep.analysis.tables.trainings import NOT_RECORDED, ReportedTraining
from raysweep.units import hours

GIB, HOUR = 2**30, 3600
_UNKNOWN = TableCell.dash(NOT_RECORDED)
SHARE = "trained weights (%)"
HOW = (
    "Share: trained weights in percent of the base's, without what an adapter adds; LoRA's and IA3's are few, so the "
    "share says how far apart they are. Memory: most that the first worker held, of its accelerator or else of RAM. "
    "Hours: from the first step to the last since the training was resumed, if it was; CPU-hours are of the first "
    "worker. Models trained: all among which the one was chosen, and their hours; of several seeds those of all, while "
    "the hours before them are the mean of a seed in a model's row, and the memory is the most of any."
)


@dataclass(frozen=True)
class TrainedForRepair:
    """A model with its training for each seed, and those among which it was chosen."""

    model: RepairModel
    trainings: Sequence[ReportedTraining]
    candidates: Sequence[Sequence[ReportedCandidate]]

    @property
    def training(self) -> ReportedTraining:
        """One for all seeds: mean times, and the most memory."""
        memory = [one.memory_bytes for one in self.trainings if one.memory_bytes is not None]
        return replace(
            self.trainings[0],
            seconds=fmean(one.seconds for one in self.trainings),
            cpu_seconds=fmean(one.cpu_seconds for one in self.trainings),
            memory_bytes=max(memory, default=None),
        )

    @property
    def seconds(self) -> float:
        return math.fsum(one.seconds for one in self.trainings)

    @property
    def share(self) -> float:
        """The share of trained weights; NaN if unknown."""
        weights, trained = self.training.weights, self.training.trained_weights
        return trained / weights if weights and trained is not None else math.nan

    @property
    def number(self) -> int:
        return sum(len(of_seed) or 1 for of_seed in self.candidates)

    @property
    def all_seconds(self) -> float:
        return math.fsum(
            math.fsum(one.seconds for one in of_seed) if of_seed else training.seconds
            for training, of_seed in zip(self.trainings, self.candidates, strict=True)
        )


OF_MODEL: list[Field[TrainedForRepair]] = [
    Field("weights", lambda one: _whole(one.training.weights)),
    Field("trained weights", lambda one: _whole(one.training.trained_weights)),
    Field(SHARE, lambda one: _share(one.share)),
    Field("memory (GiB)", lambda one: _gib(one.training.memory_bytes)),
    Field("hours", lambda one: _hours(one.training.seconds)),
    Field("CPU-hours", lambda one: _hours(one.training.cpu_seconds)),
    Field("models trained", lambda one: _whole(one.number)),
    Field("hours of all", lambda one: _hours(one.all_seconds)),
]
OF_REGIME: list[Field[Sequence[TrainedForRepair]]] = [
    Field("models", lambda found: _whole(len(found))),
    Field(f"{SHARE}, least", lambda found: _share(min(_shares(found), default=math.nan))),
    Field(f"{SHARE}, most", lambda found: _share(max(_shares(found), default=math.nan))),
    Field("memory (GiB), most", lambda found: _gib(max(_memory(found), default=None))),
    Field("hours", lambda found: _hours(math.fsum(one.seconds for one in found))),
    Field("models trained", lambda found: _whole(sum(one.number for one in found))),
    Field("hours of all", lambda found: _hours(math.fsum(one.all_seconds for one in found))),
]


@EXHIBITS.register("regime-costs")
class RegimeCosts(RepairExhibit):
    """A table with a row for each fine-tuning method, and one with a row for each model."""

    place: ClassVar[str] = "program_repair/06-costs"

    id: Id = "repair-costs"
    title: Text = "Hours, memory and trained weights"

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        trained = trained_models(evidence, self.models(evidence))
        if not trained:
            raise NothingToDraw("no model of it is fine-tuned yet")
        regimes = {name: [one for one in trained if one.model.regime == name] for name in REGIMES[1:]}
        groups = one_each(((name,), found) for name, found in regimes.items() if found)
        title, caption = self.titled(evidence.frame, "by fine-tuning method"), self.captioned(HOW)
        by_regime = record_table(title, caption, ("regime",), groups, OF_REGIME, label=f"{self.id}-by-regime")
        models = one_each(((one.model.family, one.model.cell.model, one.model.label), one) for one in trained)
        stub, head = ("family", "model", "regime"), self.head(evidence.frame, said=[HOW])
        return Drawn((by_regime, record_table(**head, stub=stub, rows=models, fields=OF_MODEL)))


def trained_models(evidence: Evidence, models: Sequence[RepairModel]) -> list[TrainedForRepair]:
    trainings = {(t.model, t.recipe, t.training_set, t.seed): t for t in evidence.trainings}
    choices = {(c.model, c.recipe, c.training_set, c.seed): c.candidates for c in evidence.choices}
    found = []
    for model in (model for model in models if model.regime != NONE):
        places = [(cell.model, cell.recipe, cell.training_set, cell.seed) for cell in model.seeds]
        if known := [place for place in places if place in trainings]:
            of_seeds = [trainings[place] for place in known]
            found.append(TrainedForRepair(model, of_seeds, [choices.get(place, ()) for place in known]))
    return found


def _shares(found: Sequence[TrainedForRepair]) -> list[float]:
    return [one.share for one in found if not math.isnan(one.share)]


def _memory(found: Sequence[TrainedForRepair]) -> list[int]:
    return [one.training.memory_bytes for one in found if one.training.memory_bytes is not None]


def _whole(number: int | None) -> TableCell:
    return _UNKNOWN if number is None else TableCell.counted(number)


def _share(share: float) -> TableCell:
    return _UNKNOWN if math.isnan(share) else TableCell.number(100 * share, two_digits(share))


def two_digits(share: float) -> str:
    """Return a share in percent with two digits that say something: ``0.062``, ``3.1``, ``100``."""
    return "100" if share == 1 else f"{100 * share:.2g}"


def _gib(size: int | None) -> TableCell:
    return _UNKNOWN if size is None else TableCell.number(size / GIB, f"{size / GIB:.2f}")


def _hours(seconds: float) -> TableCell:
    return _UNKNOWN if math.isnan(seconds) else TableCell.number(seconds / HOUR, hours(seconds / HOUR))
