"""The grid of a sweep, a row for each evaluation pair, as grid.parquet holds it, and cells without pairs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from raysweep.storage.store import Store
from raysweep.storage.uses import CHOSEN, SELECTION

if TYPE_CHECKING:  # what knows configs and plans is slow to import for `raysweep status`, and so are statistics
    from raysweep.metrics.base import CellLabels
    from raysweep.planning.plan import SweepPlan


@dataclass(frozen=True)
class GridArtefact:
    """An artefact as a row of the grid names it."""

    stage: str
    key: str
    label: str


@dataclass(frozen=True)
class GridRow:
    """One evaluation pair of a sweep, with the keys of its artefacts."""

    cell: str
    model: str
    recipe: str
    training_set: str
    seed: int
    problem_set: str
    perturbation: str
    model_stage: str  # model | base_model | selection (of one of several models); "" if the model is not in the store
    model_key: str
    test_set_key: str
    completions_key: str
    results_key: str
    test_draw: int = 0
    quality_key: str = ""  # of the reports on the pair's completions; "" if none of them is in the sample
    test_set_stage: str = "test_set"  # | rewritten_set: its prompts were rewritten by the model | broken_set
    prompt_pair_key: str = ""  # of the edit example from which the model was edited; "": it wasn't

    @property
    def labels(self) -> CellLabels:
        from raysweep.metrics.base import CellLabels

        return CellLabels(self.model, self.recipe, self.training_set, self.seed)

    @property
    def test_name(self) -> str:
        from raysweep.config.grid import test_set_name

        return test_set_name(self.problem_set, self.perturbation, self.test_draw)

    @property
    def weights(self) -> GridArtefact | None:
        """The cell's model; None if it is not an artefact of the store, such as one from the hub."""
        return GridArtefact(self.model_stage, self.model_key, self.cell) if self.model_stage else None

    @property
    def test_set(self) -> GridArtefact:
        return GridArtefact(self.test_set_stage, self.test_set_key, f"test set {self.test_name}")

    @property
    def prompt_pair(self) -> GridArtefact | None:
        """The edit example from which the cell's model was edited; None for other models."""
        key = self.prompt_pair_key
        return GridArtefact("prompt_pair", key, f"pair of {self.cell}") if key else None

    @property
    def completions(self) -> GridArtefact:
        return GridArtefact("completions", self.completions_key, f"{self.cell} on {self.test_name}")

    @property
    def results(self) -> GridArtefact:
        return GridArtefact("results", self.results_key, f"{self.cell} on {self.test_name}")

    @property
    def quality(self) -> GridArtefact | None:
        """A linter's reports on a sample of these completions; None if none of them is in the sample."""
        return GridArtefact("quality", self.quality_key, f"code quality of {self.cell}") if self.quality_key else None


@dataclass(frozen=True)
class CandidateRow:
    """A cell that only trains, so that one among several is chosen. `selection_key`: of the choice."""

    cell: str
    model: str
    recipe: str
    training_set: str
    seed: int
    model_key: str
    selection_key: str
    chosen_for: str  # the cell that has the evaluation pairs
    group: str  # its recipe's

    @property
    def weights(self) -> GridArtefact:
        return GridArtefact("model", self.model_key, self.cell)

    @property
    def selection(self) -> GridArtefact:
        return GridArtefact(SELECTION, self.selection_key, f"choice of {self.chosen_for}")


def candidate_rows(plan: SweepPlan) -> list[CandidateRow]:
    return [
        CandidateRow(
            one.cell.id,
            one.cell.model,
            one.cell.recipe,
            one.cell.training_set,
            one.cell.seed,
            one.model.key,
            cell.selection.node.key,
            cell.cell.id,
            cell.cell.recipe,
        )
        for cell in plan.cells
        if cell.selection is not None
        for one in cell.selection.candidates
        if one.model is not None
    ]


def with_choices(rows: Iterable[GridRow], store: Store) -> list[GridRow]:
    """Return rows with the model that was chosen in the place of each choice that is made."""
    chosen: dict[str, str] = {}
    found = []
    for row in rows:
        if row.model_stage == SELECTION and (choice := row.weights) is not None:
            if row.model_key not in chosen:
                chosen[row.model_key] = str(store.counts(choice)[CHOSEN]) if store.has(choice) else ""
            if key := chosen[row.model_key]:
                row = replace(row, model_stage="model", model_key=key)
        found.append(row)
    return found


def end_of(row: GridRow, store: Store, made: Collection[str] | None = None) -> str:
    """Return why an edited model's cell has ended without results, though nothing failed; empty if it hasn't.

    `made`: keys of the artefacts that exist; None: not known.
    """
    from raysweep.planning.missing import why_ended

    if row.prompt_pair is None:
        return ""
    known = [one for one in (row.prompt_pair, row.weights) if one is not None and (made is None or one.key in made)]
    return why_ended(map(store.counts, known))


def edited_problems(row: GridRow, store: Store) -> tuple[str, ...]:
    """Return the problems whose edit examples a cell's model was edited from, which no score counts; else none."""
    from raysweep.stages import editing

    return editing.edited_problems(row.prompt_pair, row.weights, store) if row.prompt_pair is not None else ()


def grid_rows(plan: SweepPlan) -> list[GridRow]:
    linted = {(quality.cell.cell.id, quality.pair.pair.test_set): quality.node.key for quality in plan.quality}
    return [
        GridRow(
            cell.cell.id,
            cell.cell.model,
            cell.cell.recipe,
            cell.cell.training_set,
            cell.cell.seed,
            pair.pair.problem_set,
            pair.pair.perturbation,
            cell.writer.stage if cell.writer else "",
            cell.writer.key if cell.writer else "",
            pair.test_set.node.key,
            pair.completions.key,
            pair.results.key,
            pair.pair.draw,
            linted.get((cell.cell.id, pair.pair.test_set), ""),
            pair.test_set.node.stage,
            cell.pair_search.node.key if cell.pair_search else "",
        )
        for cell in plan.cells
        if cell.is_scored
        for pair in cell.pairs
    ]
