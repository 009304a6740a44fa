"""The plan of a sweep as records: cells, pairs and shared inputs with the keys of their artefacts.

They travel to workers, which open the store themselves. How they are made from a config: `raysweep.planning`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from raysweep.config import SweepConfig
from raysweep.grid import Cell, Grid, Pair
from raysweep.programs import Limits, Sandbox
from raysweep.records import Decoding, ModelRef, Spec, canonical_json
from raysweep.set_plans import LeakagePlan, PerturbedRowsPlan, SourceRowsPlan, TestSetPlan, TrainingSetPlan
from raysweep.storage.artefacts import Node, Unit
from raysweep.storage.store import Store
from raysweep.storage.verdicts import level_of
from raysweep.trainers.base import Recipe


@dataclass(frozen=True)
class BasePlan:
    """A base model: `ref` where it exists already, `node` and `training_set` where it is pre-trained here.

    `identity` stands in the keys of what is made with it. All three are None/empty for a generator without weights.
    """

    name: str
    family: str
    identity: dict[str, Any]
    ref: ModelRef | None = None
    node: Node | None = None
    training_set: TrainingSetPlan | None = None
    recipe: Recipe | None = None
    vocab_size: int = 0
    size: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class ReferenceTimesPlan:
    """Times of a problem set's reference solutions, measured once so that every cell has the same limits.

    `limits`: what a reference solution may use, and what problems without one keep. `factor`: limit per time.
    """

    node: Node
    problem_set: Spec
    limits: Limits
    factor: float
    sandbox: Sandbox


@dataclass(frozen=True)
class PairPlan:
    """One evaluation pair: completions of a model on a test set, and the verdicts on them.

    `times`: where problems have limits of their own; None: `limits` hold for all of them.
    """

    pair: Pair
    test_set: TestSetPlan
    completions: Node
    results: Node
    limits: Limits
    times: ReferenceTimesPlan | None
    sandbox: Sandbox

    def is_judged(self, store: Store) -> bool:
        """Tell whether there are results, and all of them from programs isolated as far as is required now.

        The level is no part of the key: a stronger sandbox gives the same verdicts, a weaker one can't be trusted to.
        """
        if not store.has(self.results):
            return False
        return level_of(str(store.counts(self.results).get("level", ""))) >= self.sandbox.require


@dataclass(frozen=True)
class CellPlan:
    """One cell: the model to make (None for a base model) and its pairs."""

    cell: Cell
    base: BasePlan
    pairs: tuple[PairPlan, ...]
    generator: Spec
    decoding: Decoding
    prompt_format: str
    template: str
    stop: tuple[str, ...]
    batch_size: int
    model: Node | None = None
    training_set: TrainingSetPlan | None = None
    recipe: Recipe | None = None

    def nodes(self) -> Iterator[Node]:
        """Yield the artefacts that belong to this cell alone."""
        if self.model is not None:
            yield self.model
        for pair in self.pairs:
            yield pair.completions
            yield pair.results

    @property
    def evaluation(self) -> Unit:
        """Generating with this model and executing: one process at a time, whatever the test sets."""
        model = self.model or self.base.node
        made = self.pairs[0].completions
        content = {"model": model.key if model else "", "how": made.spec, "version": made.version}
        key = hashlib.sha256(canonical_json(content).encode()).hexdigest()
        return Unit("evaluation", key, f"evaluation of {self.cell.id}")

    def inputs(self, store: Store) -> list[Shared]:
        """Return the shared inputs that what is missing of this cell is made from."""
        needed: list[Shared] = [pair.test_set for pair in self.pairs]
        needed += [pair.times for pair in self.pairs if pair.times and not pair.is_judged(store)]
        if not all(store.has(pair.completions) for pair in self.pairs) or self._lacks_model(store):
            needed += [self.base] if self.base.node is not None else []
        if self._lacks_model(store) and self.training_set is not None:
            needed.append(self.training_set)
        return needed

    def is_whole(self, store: Store) -> bool:
        """Tell whether nothing of this cell has to be made."""
        return all(store.has(node) for node in self.nodes()) and all(pair.is_judged(store) for pair in self.pairs)

    def _lacks_model(self, store: Store) -> bool:
        return self.model is not None and not store.has(self.model)


Shared = (
    SourceRowsPlan | LeakagePlan | PerturbedRowsPlan | TrainingSetPlan | TestSetPlan | BasePlan | ReferenceTimesPlan
)


def reads(plan: Shared) -> Sequence[Shared]:
    """Return what a shared input is made from, in making order."""
    match plan:
        case SourceRowsPlan():
            return [plan.leaks] if plan.leaks else []
        case LeakagePlan() | PerturbedRowsPlan():
            return [plan.rows]
        case TrainingSetPlan():
            return [plan.rows, *plan.texts]
        case BasePlan():
            return [plan.training_set] if plan.training_set else []
    return []


def with_inputs(plan: Shared) -> Iterator[Shared]:
    """Yield what a shared input is made from, and from what that is, in making order, then the input itself."""
    for item in reads(plan):
        yield from with_inputs(item)
    yield plan


@dataclass(frozen=True)
class SweepPlan:
    """A whole sweep: cells, and the inputs that they share, in the order in which they can be made."""

    config: SweepConfig
    grid: Grid
    cells: tuple[CellPlan, ...]
    leakage: LeakagePlan | None = None  # where something is fine-tuned

    def shared(self) -> list[Shared]:
        """Return the inputs that cells share, each once, those of base models first."""
        found: dict[str, Shared] = {}
        for cell in self.cells:
            base = cell.base
            for plan in (base, cell.training_set):
                for item in with_inputs(plan) if plan is not None else ():
                    if item.node is not None:
                        found.setdefault(item.node.key, item)
            for pair in cell.pairs:
                found.setdefault(pair.test_set.node.key, pair.test_set)
                if pair.times is not None:
                    found.setdefault(pair.times.node.key, pair.times)
        for item in with_inputs(self.leakage) if self.leakage else ():
            if item.node is not None:
                found.setdefault(item.node.key, item)
        return list(found.values())

    def missing_cells(self, store: Store) -> list[CellPlan]:
        """Return the cells with at least one artefact that does not exist (or is damaged)."""
        store.survey(node for cell in self.cells for node in cell.nodes())
        return [cell for cell in self.cells if not cell.is_whole(store)]

    def missing_shared(self, store: Store, cells: Sequence[CellPlan]) -> list[Shared]:
        """Return the shared inputs that are damaged, or that these cells need and that do not exist, in making order.

        A cell reads its training set only while its model is missing, and a base model's rows likewise.
        """
        needed: list[Shared | None] = [item for item in self.shared() if item.node and store.is_damaged(item.node)]
        needed += [pair.test_set for cell in self.cells for pair in cell.pairs]  # reports read them, too
        for cell in cells:
            needed.append(cell.base)
            needed += [pair.times for pair in cell.pairs if pair.times and not pair.is_judged(store)]
            if cell.model is not None and not store.has(cell.model):
                needed.append(cell.training_set)
        needed.append(self.leakage)
        wanted: set[str] = set()
        for item in needed:
            wanted |= _missing(item, store) if item is not None else set()
        return [item for item in self.shared() if item.node and item.node.key in wanted]


def _missing(plan: Shared, store: Store) -> set[str]:
    """Return the keys of an input and of what it is made from, as far as they have to be made."""
    if plan.node is None or store.has(plan.node):
        return set()
    return {plan.node.key}.union(*(_missing(item, store) for item in reads(plan)))
