"""Lists the training rows of a config that leak test problems; needs neither a store nor a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raysweep.config.schema import SweepConfig
from raysweep.errors import UsageError
from raysweep.planning.sets import SetPlanner
from raysweep.problems.base import PROBLEMS
from raysweep.training_sets.base import SOURCES
from raysweep.training_sets.leakage import LeakFinder


@dataclass(frozen=True)
class LeakingRow:
    """A row that leaks a problem: which problem, by which rule, and the row's instruction."""

    row_id: str
    problem_set: str
    task_id: str
    rule: str
    instruction: str
    source: str  # the name of the row's source; empty where the config has one alone


@dataclass(frozen=True)
class FoundLeaks:
    """All leaks of a config. `rows`: how many rows were searched."""

    leaks: tuple[LeakingRow, ...]
    rows: int
    drops: bool  # whether the config leaves such rows out
    makes_rejected: bool  # whether a run makes rejected responses, which it searches itself


def find_leaks(config: SweepConfig, report: Callable[[int], None]) -> FoundLeaks:
    """Search the rows of a config's training sources; raise UsageError if it has none, or they can't be read.

    `report`: called with the number of rows that were searched.
    """
    if config.training is None:
        raise UsageError("the config has no `training:` section, so there are no rows to search")
    leaking: list[LeakingRow] = []
    number = 0
    # sources whose rows can't leak these problems, by construction, have no plan
    planner = SetPlanner(config, tolerant=True)  # a teacher may be missing: what it writes isn't searched here
    for plan in planner.leakages(trained.name for trained in config.training.sets):
        finder = LeakFinder({name: PROBLEMS.create(spec) for name, spec in plan.problems})
        for row in SOURCES.create(plan.rows.source).rows():
            leaking += [
                LeakingRow(leak.row_id, leak.problem_set, leak.task_id, leak.rule, row.instruction, plan.source)
                for leak in finder.leaks([row])
            ]
            number += 1
            report(number)
    made = (source.rows.rejected for source in config.training.row_sources)
    makes_rejected = any(rejected is not None and rejected.field is None for rejected in made)
    return FoundLeaks(tuple(leaking), number, config.training.decontaminate == "drop", makes_rejected)
