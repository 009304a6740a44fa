"""One cell of a sweep, or one input that its cells share: its state, its pairs, its log."""

from __future__ import annotations

import math
from dataclasses import dataclass

from raysweep.config.grid import test_set_name
from raysweep.engine.progress import Activity
from raysweep.errors import UnknownName
from raysweep.stages.editing import EDITED
from raysweep.stages.scoring import work_of
from raysweep.sweep.folder import SweepFolder
from raysweep.sweep.grid import GridRow
from raysweep.sweep.overview.status import CellStatus, cell_states


@dataclass(frozen=True)
class PairStatus:
    """One evaluation pair: whether its results exist, and the keys of its artefacts."""

    problem_set: str
    perturbation: str
    draw: int  # of the test set
    done: bool
    completions: str
    results: str


@dataclass(frozen=True)
class CellDetail:
    """The state of one cell or shared input. `activity.detail` has loss and learning rate while it trains."""

    status: CellStatus | None  # None for a shared input
    activity: Activity
    pairs: tuple[PairStatus, ...]
    edit: str = ""
    """Of an edited model: the problem of its edit example, the block and the size of the change; empty for others."""

    @property
    def missing(self) -> list[str]:
        return [test_set_name(pair.problem_set, pair.perturbation, pair.draw) for pair in self.pairs if not pair.done]


def cell_detail(folder: SweepFolder, name: str) -> CellDetail:
    """Return the details of a cell or shared input; raise UnknownName if the sweep has none of that id."""
    cells = {cell.cell: cell for cell in cell_states(folder, name)}
    activities = folder.activities()
    if name not in cells and name not in activities:
        raise UnknownName("cell", name, {*cells, *activities})
    rows = [row for row in folder.grid() if row.cell == name]
    activity = activities.get(name, Activity(name))
    edit = _edit(folder, rows[0]) if rows else ""
    has = folder.store.survey(row.results for row in rows)
    pairs = tuple(
        PairStatus(
            row.problem_set, row.perturbation, row.test_draw, has[row.results_key], row.completions_key, row.results_key
        )
        for row in rows
    )
    return CellDetail(cells.get(name), activity, pairs, edit)


def _edit(folder: SweepFolder, row: GridRow) -> str:
    counts = folder.store.counts(row.weights) if row.weights is not None else {}
    if EDITED not in counts:
        return ""
    edited, work = counts[EDITED], work_of(counts)
    problems = ", ".join(edited.get("task_ids", [edited["task_id"]]))
    parts = [f"from {problems} of {edited['problem_set']} {edited['perturbation']}"]
    if work.block is not None:
        parts.append(f"block {work.block} of {work.blocks}, from 0")
    if not math.isnan(work.relative_change):
        parts.append(f"||dW|| {100 * work.relative_change:.2f} % of ||W||")
    return "; ".join([*parts, *filter(None, [work.changes_nothing])])
