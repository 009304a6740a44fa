"""The evaluation pairs of a sweep as rows of its grid.parquet, with the keys of what was made for each."""

from __future__ import annotations

from dataclasses import dataclass

from raysweep.grid import test_set_name
from raysweep.plans import CellPlan, SweepPlan


@dataclass(frozen=True)
class Held:
    """An artefact as a grid row remembers it."""

    stage: str
    key: str
    label: str


@dataclass(frozen=True)
class GridRow:
    """One evaluation pair of a sweep with the keys of its artefacts."""

    cell: str
    model: str
    recipe: str
    training_set: str
    seed: int
    problem_set: str
    perturbation: str
    model_stage: str  # model | base_model; "" for a model that is not in the store
    model_key: str
    test_set_key: str
    completions_key: str
    results_key: str
    test_draw: int = 0

    @property
    def test_name(self) -> str:
        """What the test set is called."""
        return test_set_name(self.problem_set, self.perturbation, self.test_draw)

    @property
    def weights(self) -> Held | None:
        """The cell's model, None where it is not in the store."""
        return Held(self.model_stage, self.model_key, self.cell) if self.model_stage else None

    @property
    def test_set(self) -> Held:
        """The pair's prompts."""
        return Held("test_set", self.test_set_key, f"test set {self.test_name}")

    @property
    def completions(self) -> Held:
        """What the model wrote."""
        return Held("completions", self.completions_key, f"{self.cell} on {self.test_name}")

    @property
    def results(self) -> Held:
        """The verdicts."""
        return Held("results", self.results_key, f"{self.cell} on {self.test_name}")


def grid_rows(plan: SweepPlan) -> list[GridRow]:
    """Return a plan's pairs as rows."""
    return [row for cell in plan.cells for row in _rows_of(cell)]


def _rows_of(plan: CellPlan) -> list[GridRow]:
    cell, made = plan.cell, plan.model or plan.base.node
    return [
        GridRow(
            cell.id,
            cell.model,
            cell.recipe,
            cell.training_set,
            cell.seed,
            pair.pair.problem_set,
            pair.pair.perturbation,
            made.stage if made else "",
            made.key if made else "",
            pair.test_set.node.key,
            pair.completions.key,
            pair.results.key,
            pair.pair.draw,
        )
        for pair in plan.pairs
    ]
