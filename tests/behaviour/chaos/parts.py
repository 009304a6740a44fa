"""The parts of a sweep: what tells its progress under one name, and which artefacts it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Part:
    """A cell or a shared input. Artefacts and the unit of work are named "stage/key"."""

    activity: str
    training: str = ""  # the model it trains; empty: none
    evaluation: str = ""  # the unit of work whose blocks are kept
    completions: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def artefacts(self) -> tuple[str, ...]:
        """All that it makes."""
        trained = (self.training,) if self.training else ()
        return (*trained, *self.completions, *self.results, *self.others)

    def is_done(self, storage: Path) -> bool:
        """Tell whether everything that it makes is in a store."""
        return all((folder_in(storage, name) / MANIFEST).is_file() for name in self.artefacts)


@dataclass(frozen=True)
class Parts:
    """All parts of a sweep. `interval`: steps between two checkpoints."""

    name: str  # of the sweep
    interval: int
    parts: tuple[Part, ...]

    def of(self, activity: str) -> Part:
        """Return the part that tells its progress under a name; an empty one when there is none."""
        return next((part for part in self.parts if part.activity == activity), Part(activity))


def parts_of(config: Path, overrides: Sequence[str]) -> Parts:
    """Return the parts of the sweep that a config describes."""
    from raysweep.config.loading import load_config
    from raysweep.planning.missing import walk
    from raysweep.planning.plan import BasePlan, CellArtefactPlan
    from raysweep.planning.planner import build_plan

    loaded = load_config(config, overrides)
    plan = build_plan(loaded)
    found = []
    for item in walk(plan.targets):
        if item.node is not None and not isinstance(item, CellArtefactPlan):
            made = f"{item.node.stage}/{item.node.key}"
            what = {"training": made} if isinstance(item, BasePlan) else {"others": (made,)}
            found.append(Part(item.task, **what))
    for cell in plan.cells:
        found.append(
            Part(
                cell.cell.id,
                f"model/{cell.model.key}" if cell.model else "",
                f"{cell.evaluation.stage}/{cell.evaluation.key}",
                tuple(f"completions/{pair.completions.key}" for pair in cell.pairs),
                tuple(f"results/{pair.results.key}" for pair in cell.pairs),
            )
        )
    return Parts(loaded.name, loaded.checkpoint_every, tuple(found))


def folder_in(storage: Path, name: str) -> Path:
    """Return the folder of an artefact that is named "stage/key"."""
    stage, key = name.split("/")
    return storage / "artefacts" / stage / key[:2] / key
