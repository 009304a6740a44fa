"""Kind ``fait-claims``: what the study of FAIT says in words, beside the same numbers of a sweep.

Its figures 6 and 7 (fixed weights, alpha) print no numbers, and its shares of error-sensitive segments were judged by
hand. Models are compared by the sum of all columns that both have, as its averages are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar

from typing_extensions import override

from raysweep.analysis.comparisons.sums import (
    BASELINE_IS_0,
    Cells,
    SumChange,
    change_over_seeds,
    changes_between,
    changes_by_seed,
    on_shared_sets,
)
from raysweep.analysis.exhibits.base import COMPARISONS, EXHIBITS, Drawn, Evidence, Exhibit, Group, Id, Text
from raysweep.analysis.exhibits.claims import Cells as ClaimCells
from raysweep.analysis.exhibits.claims import Finder, claims_table, yes
from raysweep.analysis.exhibits.curves.settings import Argument, argument_curve
from raysweep.analysis.exhibits.recipes.finding import by_recipe
from raysweep.analysis.exhibits.recipes.mended import Mended
from raysweep.analysis.exhibits.recipes.sum_changes import swept_cells
from raysweep.analysis.exhibits.selections import select_training_sets
from raysweep.analysis.published.reference import PublishedClaim
from raysweep.analysis.tables.table import TableCell
from raysweep.records import BASE, CLEAN
from raysweep.units import count, decimal

FAIT, SFT, DPO = "fait", "sft", "dpo"
WEIGHT = Argument(objective="fixed", argument="weight", label="weight", also={SFT: 1})
ALPHA = Argument(objective=FAIT, argument="alpha", label="alpha", also={FAIT: 2})
BEST = 2.0
"""The weight, and the alpha, that the study found best."""
FULL, HARD = "bigcodebench-full", "bigcodebench-hard"
HUMANEVAL = ("humaneval-plus", "humaneval")
NO_GAIN = "the baseline passes nothing, so that it has no relative change"
CASES = (
    "A case is a model with two recipes on one training set, or of hard problems a model; of several seeds the means "
    "count. Shown: 0 lies outside of the 95 % interval of the relative change of the sum over problems."
)
AGREES = (
    "Agrees: whether all cases are as the study says, of DPO whether some are; not shown: they aren't, and none shows "
    "the reverse. Of a share: whether the printed one lies inside the interval of this sweep's."
)


@EXHIBITS.register("fait-claims")
class FaitClaims(Exhibit):
    """A table with a row for each claim of the study."""

    reads_seeds = True
    place: ClassVar[str] = "fault_aware_finetuning/table-claims"

    id: Id = "fait-claims"
    title: Text = "Claims of the FAIT study"
    source: str = "FAIT study's text"
    group: Group = COMPARISONS
    study: Text = "fait"
    """The name by which `raysweep compare` knows it."""

    @override
    def draw(self, evidence: Evidence) -> Drawn:
        sets = [name for name in select_training_sets(evidence.frame, [CLEAN]).names if name != BASE]
        return claims_table(self, evidence, self.study, _finders(evidence, sets), CASES, AGREES)


def _finders(evidence: Evidence, sets: Sequence[str]) -> Mapping[str, Finder]:
    weights, alphas = (_recipes(evidence, argument) for argument in (WEIGHT, ALPHA))
    cells = swept_cells(evidence, {FAIT, SFT, DPO, *weights.values(), *alphas.values()}, sets, CLEAN)

    def changes(recipes: Iterable[str], baselines: Iterable[str]) -> list[SumChange]:
        pairs = [(one, other) for one in recipes for other in baselines if one != other]
        models = dict.fromkeys(cell.model for cell in cells)
        found = [_change(cells, model, *pair, sets) for pair in pairs for model in models]
        return [change for change in found if not math.isnan(change.value) or change.note == BASELINE_IS_0]

    best_weight, best_alpha = weights.get(BEST), alphas.get(BEST)
    mended = partial(_segments, evidence, sets, Mended(id="mended", title="mended", of="mended", recipes=[FAIT]))
    failed = partial(_segments, evidence, sets, Mended(id="failed", title="failed", of="failed", recipes=[BASE]))
    return {
        "fixed-best": lambda claim: _above(changes(filter(None, [best_weight]), weights.values())),
        "dynamic": lambda claim: _above(changes([FAIT], filter(None, [best_weight]))),
        "alpha-best": lambda claim: _above(changes(filter(None, [best_alpha]), alphas.values())),
        "alphas-sft": lambda claim: _above(changes(alphas.values(), [SFT]), or_equal=True),
        "hard-gain": lambda claim: _hard_above_full(cells, sets),
        "dpo-below": lambda claim: _some_below(changes([DPO], [BASE])),
        "mended-semcoder-s": mended,
        "mended-magicoder-s-ds": mended,
        "mended-magicoder-s-cl": mended,
        "failed-llama-3.1-70b-instruct": failed,
    }


def _recipes(evidence: Evidence, argument: Argument) -> dict[float, str]:
    """Return the recipes that differ in an argument of their objective alone, by its value."""
    curve = argument_curve(evidence.frame.order, argument, "")
    return {setting.value: setting.recipe for setting in curve.settings} if curve else {}


def _change(cells: Cells, model: str, recipe: str, baseline: str, sets: Collection[str]) -> SumChange:
    changes = changes_between(cells, model, recipe, baseline, sets)
    return change_over_seeds(list(changes_by_seed(on_shared_sets(changes)).values()))


def _above(changes: Sequence[SumChange], *, or_equal: bool = False) -> ClaimCells | None:
    known = _defined(changes)
    if not known:
        return _undefined(len(changes))
    above = sum(change.value > 0 or (or_equal and change.value == 0) for change in known)
    words = "at least as high" if or_equal else "higher"
    shown, reverse = (sum(map(check, known)) for check in (_is_above, _is_below))
    text = f"{words} in {above:,} of {count(len(known), 'case')}, shown in {shown:,}; the reverse shown in {reverse:,}"
    return _said(text, len(changes) - len(known)), _agrees(above == len(known), reverse > 0)


def _some_below(changes: Sequence[SumChange]) -> ClaimCells | None:
    known = _defined(changes)
    if not known:
        return _undefined(len(changes))
    below = sum(change.value < 0 for change in known)
    text = f"{below:,} of {count(len(known), 'case')}, shown in {sum(map(_is_below, known)):,}"
    return _said(text, len(changes) - len(known)), _agrees(below > 0, all(map(_is_above, known)))


def _agrees(as_said: bool, reverse: bool) -> TableCell:
    """`reverse`: whether the intervals show the reverse of the claim."""
    return yes(as_said) if as_said or reverse else TableCell.said("not shown")


def _defined(changes: Sequence[SumChange]) -> list[SumChange]:
    return [change for change in changes if not math.isnan(change.value)]


def _said(text: str, undefined: int) -> TableCell:
    return TableCell.said(f"{text}; without {count(undefined, 'case')}, where {NO_GAIN}" if undefined else text)


def _undefined(cases: int) -> ClaimCells | None:
    return (TableCell.said(f"undefined in {count(cases, 'case')}: {NO_GAIN}"), TableCell.said("–")) if cases else None


def _is_above(change: SumChange) -> bool:
    return change.low > 0


def _is_below(change: SumChange) -> bool:
    return change.high < 0


def _hard_above_full(cells: Cells, sets: Collection[str]) -> ClaimCells | None:
    """Compare each model's relative gain of FAIT over its base on hard problems with that on all of them."""
    of_set = {
        name: {cell: {name: rates[name]} for cell, rates in cells.items() if name in rates} for name in (FULL, HARD)
    }
    gains, undefined = list[tuple[str, float, float]](), 0
    for model in dict.fromkeys(cell.model for cell in cells):
        pair = [_change(of_set[name], model, FAIT, BASE, sets) for name in (FULL, HARD)]
        full, hard = (change.value for change in pair)
        is_defined = not math.isnan(full) and not math.isnan(hard)
        gains += [(model, full, hard)] if is_defined else []
        undefined += not is_defined and any(change.note == BASELINE_IS_0 for change in pair)
    if not gains:
        return _undefined(undefined)
    above = sum(hard > full for _, full, hard in gains)
    each = "; ".join(f"{model} {_percent(full)} and {_percent(hard)}" for model, full, hard in gains)
    text = f"{above:,} of {count(len(gains), 'case')} ({each})"
    agrees = _agrees(above == len(gains), any(hard < full for _, full, hard in gains))
    return _said(text, undefined), agrees


def _percent(share: float) -> str:
    return f"{decimal(100 * share, 1, '+')} %"


def _segments(evidence: Evidence, sets: Sequence[str], exhibit: Mended, claim: PublishedClaim) -> ClaimCells | None:
    """Return the share of a model's mended or failed tasks of HumanEval that lie within one block of lines."""
    model, untuned = claim.id.partition("-")[2], exhibit.of == "failed"
    found = [
        one
        for one in by_recipe(evidence.each_seed, sets or [BASE], exhibit.recipes, untuned=untuned)
        if one.variant.model == model and (one.trained_on == BASE) is untuned
    ]
    for problems in (name for name in HUMANEVAL if name in evidence.frame.problem_sets):
        seeds = [pairs for one in found if (pairs := exhibit.pairs(evidence, one, problems))]
        if seeds := seeds[:1] if untuned else seeds:
            share = exhibit.share(seeds, len(seeds))
            tasks = f"{count(round(sum(map(len, seeds)) / len(seeds)), 'task')} of {problems}"
            cell = TableCell.said(f"{decimal(100 * share.value, 1)} % of {tasks}")
            interval = f"[{decimal(100 * share.low, 1)}, {decimal(100 * share.high, 1)}]"
            inside = share.low <= claim.value <= share.high
            return (
                (cell, TableCell.said("–"))
                if math.isnan(share.low)
                else (replace(cell, interval=interval), yes(inside))
            )
    return None
