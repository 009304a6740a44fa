"""A cell that waits to be started: what its stages ask for, and how long it is expected to take in a pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raysweep.accelerators import ACCELERATOR_LABEL, data_sheet_of
from raysweep.planning.predictions.needs import CellNeeds, Needs, matches_one, names_in

CPUS = "CPUs"
"""Name of the pool of what needs no accelerator: all nodes."""
UNLABELLED = ""
"""Name of the pool of accelerators without a label."""
ANY = "any accelerators"
"""Name of the pool of a cell that fits into no other, such as one whose stages name different types, whose workers must
be spread over several types, or that waits for an autoscaler: all accelerators that can run it."""


@dataclass(frozen=True)
class CellToPlace:
    """A cell that waits to be started.

    `hours`: the time that it is expected to take, by type of accelerator; empty if nothing is known. `group`: all cells
    of a group run in one pool, which groups.py chooses; empty: it has none. `after`: ids of the cells that must have
    ended before it starts.
    """

    id: str
    needs: CellNeeds = field(default_factory=CellNeeds)
    hours: Mapping[str, float] = field(default_factory=dict)
    group: str = ""
    after: tuple[str, ...] = ()

    @property
    def first(self) -> tuple[Needs, int]:
        """What its first stage asks for, and how many processes of it; of a stage with accelerators if there is one."""
        trains = self.needs.workers or self.needs.in_trial
        if trains and (self.needs.training.gpus or not self.needs.generation.gpus):
            return self.needs.training, max(1, self.needs.workers)
        return self.needs.generation, 1

    @property
    def stages_on_accelerators(self) -> list[tuple[Needs, int]]:
        """What its stages with accelerators ask for, and how many processes of them run at a time."""
        trainers = self.needs.workers or int(self.needs.in_trial)  # a trial holds the training's without one, too
        both = [(self.needs.training, trainers), (self.needs.generation, 1)]
        return [(needs, number) for needs, number in both if needs.gpus and number]

    @property
    def accelerators(self) -> float:
        """The most accelerators that it holds at a time, all processes of a stage together."""
        return max((needs.gpus * number for needs, number in self.stages_on_accelerators), default=0.0)

    @property
    def named(self) -> list[str] | None:
        """The types that all of its labels allow, of those that they name; None if they name none."""
        labels = [needs.labels.get(ACCELERATOR_LABEL, "") for needs, _ in self.stages_on_accelerators]
        lists = [names for label in labels if (names := names_in(label))]
        if not lists:
            return None
        allowed = [name for name in lists[0] if all(name in names for names in lists)]
        return [name for name in allowed if not any(label and not matches_one(label, name) for label in labels)]

    @property
    def is_on_accelerators(self) -> bool:
        return bool(self.stages_on_accelerators)

    def expected(self, pool: str) -> float:
        """Return the hours that it is expected to take in a pool, or on the slowest type if the pool's isn't known."""
        most = max(self.hours.values(), default=0.0)
        if pool == ANY:
            return most
        known = data_sheet_of(pool)
        return self.hours.get("cpu" if not self.is_on_accelerators else known[0] if known else pool, most)
