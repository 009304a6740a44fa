"""What Ray Tune's results say of a cell: its scores, named as in `raysweep.load_results`, and its folders.

An edited model has further numbers: what it restored, and what the edit took.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from raysweep.analysis.exhibits.edits import BaseRates, EditWork, Rates, ReportedEdit
from raysweep.hashing import as_number, canonical_json
from raysweep.metrics.base import CellLabels
from raysweep.metrics.passing import over_draws
from raysweep.metrics.scores import scores_of
from raysweep.planning.missing import end_of
from raysweep.planning.plan import CellPlan
from raysweep.programs import Outcome
from raysweep.records import CLEAN, Result, Spec
from raysweep.stages.editing import edited_problems, localization_of
from raysweep.stages.prompt_pairs import prompt_pairs
from raysweep.stats.intervals import draw_means
from raysweep.storage.store import Store
from raysweep.trainers.editors.base import EDIT, LOCALIZATION
from raysweep.trainers.editors.running import CHECKS

METRICS = (Spec("pass_at_k", {"k": [1]}), Spec("relative_degradation"))
SHOWN = ("pass@1", "RD")


def cell_numbers(cell: CellPlan, store: Store) -> dict[str, float]:
    """Return pass@1 and RD of a cell's test sets, such as ``RD humaneval C1``; one that is undefined is left out.

    An edited model has its share restored, the change of its clean pass@1, and what the edit took, too. All numbers are
    computed as for `raysweep.load_results`, over all draws of a perturbation and all completions, whatever their order.
    """
    if end_of(cell, store):
        return {}
    edited = edited_problems(cell.pair_search.node, cell.model, store) if cell.pair_search else ()
    results: dict[tuple[str, str], Sequence[Result]] = {}
    later: dict[tuple[str, str], list[Sequence[Result]]] = {}
    for planned in cell.pairs:
        name = planned.pair.problem_set, planned.pair.perturbation
        rows = [row for row in store.rows(planned.results, Result) if row.task_id not in edited]
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


def edit_numbers(cell: CellPlan, store: Store) -> dict[str, float]:
    """Return the numbers of an edited model that are defined, such as ``G-RIR minicode C1``; none for another cell.

    They are those of `raysweep.load_results`. Its base must be judged on the category and on clean prompts.
    """
    search = cell.pair_search
    if search is None or cell.model is None or cell.recipe is None:
        return {}
    problems, category = search.wanted.problem_set, search.wanted.perturbation
    counts = store.counts(cell.model)
    tasks = edited_problems(search.node, cell.model, store)
    example = (problems, category, 0)  # of the first draw
    own = [one.results for one in cell.pairs if (one.pair.problem_set, one.pair.perturbation, one.pair.draw) == example]
    edit = ReportedEdit(
        CellLabels(cell.cell.model, cell.cell.recipe, cell.cell.training_set, cell.cell.seed),
        problems,
        category,
        editor=cell.recipe.trainer,
        edit_at=str(counts.get("edit_at", "")),
        settings=canonical_json(dict(cell.recipe.edit)),
        task_ids=tasks,
        work=work_of(counts),
        localization=localization_of(cell.model, store),
        base=BaseRates(*(_rates(search.base, store, problems, name) for name in (CLEAN, category))),
        clean=_rates(cell, store, problems, CLEAN),
        pairs=prompt_pairs(search, store) if store.has(search.node) else (),
        perturbed=_rates(cell, store, problems, category),
        repaired=next((pass_rate(store.rows(node, Result), tasks) for node in own if store.has(node)), math.nan),
    )
    return {
        f"{number.metric} {problems} {perturbation}": number.value
        for perturbation, number in edit.measurements()
        if not math.isnan(number.value)
    }


def pass_rate(results: Iterable[Result], tasks: Collection[str]) -> float:
    """Return the share of some problems' completions that passed; NaN if there is none."""
    passed = [result.outcome == Outcome.PASSED for result in results if result.task_id in tasks]
    return sum(passed) / len(passed) if passed else math.nan


def work_of(counts: Mapping[str, Any]) -> EditWork:
    seconds = counts.get("seconds") or {}

    def number(of: Mapping[str, Any], name: str, otherwise: float = math.nan) -> float:
        return as_number(of.get(name, otherwise))

    block = counts.get("block")
    return EditWork(
        block=None if block is None else int(block),
        blocks=int(counts.get("blocks", 0)),
        localization_seconds=number(seconds, LOCALIZATION, 0.0 if seconds else math.nan),
        edit_seconds=number(seconds, EDIT),
        check_seconds=number(seconds, CHECKS),
        memory_bytes=number(counts, "memory_bytes"),
        relative_change=number(counts, "relative_change"),
        changes_nothing=str(counts.get("changes_nothing") or ""),
    )


def _rates(cell: CellPlan, store: Store, problem_set: str, perturbation: str) -> Rates:
    """Return a cell's pass@1 by problem on one test set, the mean over its draws; empty until all are judged."""
    pairs = [one for one in cell.pairs if (one.pair.problem_set, one.pair.perturbation) == (problem_set, perturbation)]
    if not pairs or not all(store.has(one.results) for one in pairs):
        return {}  # such as a new draw that the base's own cell is still judging
    rates = over_draws([list(store.rows(one.results, Result)) for one in pairs], 1)
    return dict(zip(rates.tasks, map(float, draw_means(rates.values)), strict=True))
