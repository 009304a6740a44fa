"""What Ray Tune's results say of a cell: its scores, named as in `raysweep.load_results`, and its folders."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysweep.metrics.base import CellLabels
from raysweep.metrics.scores import scores_of
from raysweep.planning.missing import end_of
from raysweep.planning.plan import CellPlan
from raysweep.records import Result, Spec
from raysweep.stages.edit_numbers import edit_numbers
from raysweep.stages.editing import edited_problem
from raysweep.storage.store import Store

METRICS = (Spec("pass_at_k", {"k": [1]}), Spec("relative_degradation"))
SHOWN = ("pass@1", "RD")


def cell_numbers(cell: CellPlan, store: Store) -> dict[str, float]:
    """Return pass@1 and RD of a cell's test sets, such as ``RD humaneval C1``; one that is undefined is left out.

    An edited model has its share restored, the change of its clean pass@1, and what the edit took, too. All numbers are
    computed as for `raysweep.load_results`, over all draws of a perturbation and all completions, whatever their order.
    """
    if end_of(cell, store):
        return {}
    edited = edited_problem(cell.pair_search.node, cell.model, store) if cell.pair_search else ""
    results: dict[tuple[str, str], Sequence[Result]] = {}
    later: dict[tuple[str, str], list[Sequence[Result]]] = {}
    for planned in cell.pairs:
        name = planned.pair.problem_set, planned.pair.perturbation
        rows = [row for row in store.rows(planned.results, Result) if row.task_id != edited]
        if planned.pair.draw:
            later.setdefault(name, []).append(rows)
        else:
            results[name] = rows
    labels = CellLabels(cell.cell.model, cell.cell.recipe, cell.cell.training_set, cell.cell.seed)
    scores = scores_of(labels, results, {}, METRICS, later)
    numbers = {
        f"{score.metric} {score.problem_set} {score.perturbation}": score.value
        for score in scores
        if score.metric in SHOWN and not math.isnan(score.value)
    }
    return numbers | edit_numbers(cell, store)


def cell_folders(cell: CellPlan, store: Store) -> dict[str, str]:
    """Return the folders of a cell's artefacts, which need not exist yet: model, completions and results, by name."""
    model = {"model": store.folder(cell.model)} if cell.model else {}
    pairs = {
        f"{node.stage} {planned.pair.test_set}": store.folder(node)
        for planned in cell.pairs
        for node in (planned.completions, planned.results)
    }
    return {**model, **pairs}
