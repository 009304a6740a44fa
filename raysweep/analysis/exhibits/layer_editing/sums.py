"""Sums up edits: groups them, and gives the cells of the share restored, of clean accuracy, of seconds and memory.

Intervals of the share restored are over pairs: each pair is one value, pairs of one problem are one cluster, and the
prompts of a category are those that there are. Intervals of clean accuracy are over problems, paired with the base
model's, and the pairs are those that there are. Of several seeds a number is the mean over the seeds' own, with the
standard deviation between them, and its interval is over seeds, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import NamedTuple, TypeVar

from raysweep.analysis.comparisons.base import shared_values
from raysweep.analysis.comparisons.estimate import Estimate, pool
from raysweep.analysis.exhibits.edits import ReportedEdit, rates_change
from raysweep.analysis.tables.quantities import PASS, Quantity, number_cell, share_cell
from raysweep.analysis.tables.records import with_sd
from raysweep.analysis.tables.table import TableCell
from raysweep.metrics.base import Measurement
from raysweep.metrics.restoration import GAIN, Restoration
from raysweep.stats.few_values import FewValuesMean, few_values_mean
from raysweep.stats.intervals import COVERAGE
from raysweep.stats.seeds import shared_variance
from raysweep.units import count

E = TypeVar("E")
RESTORED = Quantity("G-RIR", "restored")
RELATIVE_GAIN = Quantity(GAIN, GAIN, signed=True)
MORE_RESTORED = Quantity("G-RIR", "restored", "points", signed=True)
CLEAN_CHANGE = Quantity("clean", "clean", "points", signed=True)
ALL = "all categories"
"""All categories of a method together."""
NEAR = 0.01
"""A clean accuracy is as before within one point."""
WITHIN, BEYOND, UNSHOWN = "yes", "no", "not shown"
"""Whether clean accuracy is within one point of what it was."""
WITHIN_COLUMN = "within 1 point"
FEWEST_WITHIN = math.ceil(math.log(1 - COVERAGE) / math.log(1 - NEAR)) - 1
"""Problems whose equal verdicts have an interval within one point; see `raysweep.stats.bootstrap.even_interval`."""
WITHIN_RULE = (
    f'Within 1 point: "{WITHIN}" if the whole interval lies from −1 to +1 points, "{BEYOND}" if all of it lies '
    f'outside, otherwise "{UNSHOWN}". The interval is of a Bayesian bootstrap over problems to which one lost and one '
    "won problem are added, as Bonett and Price (2012) do: it takes "
    f"{count(FEWEST_WITHIN, 'problem')} to show it, even where no verdict differs."
)


@dataclass(frozen=True)
class EditGroup:
    """The edits of one method for one model and category of a problem set.

    `category`: a perturbation, or `ALL`. `method`: the recipe, with its seed where there are several and each has a
    row.
    """

    problem_set: str
    model: str
    category: str
    method: str

    @property
    def labels(self) -> tuple[str, ...]:
        return self.model, *([] if self.category == ALL else [self.category]), self.method


def grouped(edits: Iterable[ReportedEdit], *, over_seeds: bool = False) -> dict[EditGroup, list[ReportedEdit]]:
    """Return edits in their order; none of `ALL`. `over_seeds`: whether those of all seeds are together."""
    edits = list(edits)
    seeds = {edit.cell.seed for edit in edits}
    groups: dict[EditGroup, list[ReportedEdit]] = {}
    for edit in edits:
        method = edit.cell.recipe + ("" if over_seeds or len(seeds) == 1 else f" · seed {edit.cell.seed}")
        group = EditGroup(edit.problem_set, edit.cell.model, edit.perturbation, method)
        groups.setdefault(group, []).append(edit)
    return groups


def over_categories(groups: Mapping[EditGroup, Sequence[ReportedEdit]]) -> dict[EditGroup, list[ReportedEdit]]:
    together: dict[EditGroup, list[ReportedEdit]] = {}
    for group, edits in groups.items():
        together.setdefault(replace(group, category=ALL), []).extend(edits)
    return together


def judged(edits: Iterable[ReportedEdit]) -> list[ReportedEdit]:
    return [edit for edit in edits if edit.is_judged]


def on_shared_pairs(
    groups: Mapping[EditGroup, Sequence[ReportedEdit]], *, over_seeds: bool = False
) -> dict[EditGroup, list[ReportedEdit]]:
    """Return each group's judged edits of the pairs from which all methods beside it have one.

    Those are the methods of the same model, problem set and category. Pairs of another seed are other ones, so where
    groups have all seeds together, a seed that one of the methods lacks has no shared pair.

    `over_seeds`: whether groups have all seeds together; else only groups of the same seed are beside one another.
    """
    done = {group: of_group for group, edits in groups.items() if (of_group := judged(edits))}
    shared: dict[tuple[object, ...], set[tuple[str, int]]] = {}
    for group, edits in done.items():
        pairs, key = set(map(_pair_of, edits)), _beside(group, edits, over_seeds)
        shared[key] = shared.get(key, pairs) & pairs
    return {
        group: [edit for edit in edits if _pair_of(edit) in shared[_beside(group, edits, over_seeds)]]
        for group, edits in done.items()
    }


def _pair_of(edit: ReportedEdit) -> tuple[str, int]:
    return edit.cell.training_set, edit.cell.seed


def _beside(group: EditGroup, edits: Sequence[ReportedEdit], over_seeds: bool) -> tuple[object, ...]:
    seed = None if over_seeds else edits[0].cell.seed
    return group.problem_set, group.model, group.category, seed


def by_seed(edits: Iterable[ReportedEdit]) -> dict[int, list[ReportedEdit]]:
    seeds: dict[int, list[ReportedEdit]] = {}
    for edit in edits:
        seeds.setdefault(edit.cell.seed, []).append(edit)
    return seeds


def mean_of(edits: Sequence[E], value: Callable[[E], float]) -> float:
    """Return the mean of a number over the edits that have it; NaN without any."""
    values = [number for edit in edits if not math.isnan(number := value(edit))]
    return fmean(values) if values else math.nan


def with_spread(cell: TableCell, seeds: Iterable[float], quantity: Quantity) -> TableCell:
    """`seeds`: the mean of each seed, a share; those that are NaN don't count, and one has no deviation."""
    known = [value for value in seeds if not math.isnan(value)]
    if len(known) < 2 or cell.state != "value":
        return cell
    return with_sd(cell, known, replace(quantity, signed=False).format, factor=100)


def mean_by_seed(edits: Sequence[ReportedEdit], value: Callable[[ReportedEdit], float]) -> list[float]:
    means = (mean_of(of_seed, value) for of_seed in by_seed(edits).values())
    return [mean for mean in means if not math.isnan(mean)]


def base_cell(edits: Sequence[ReportedEdit], value: Callable[[ReportedEdit], float]) -> TableCell:
    means = mean_by_seed(edits, value)
    return share_cell(fmean(means) if means else math.nan)


def repaired_cell(edits: Sequence[ReportedEdit]) -> TableCell:
    means = mean_by_seed(edits, lambda edit: edit.accuracy.repaired)
    return with_spread(share_cell(fmean(means) if means else math.nan), means, PASS)


def restored_cell(edits: Sequence[ReportedEdit]) -> TableCell:
    return _mean_share(edits, lambda edit: edit.accuracy.restored, RESTORED)


def gain_cell(edits: Sequence[ReportedEdit]) -> TableCell:
    return _mean_share(edits, lambda edit: edit.accuracy.gain, RELATIVE_GAIN)


def _mean_share(
    edits: Sequence[ReportedEdit], share_of: Callable[[ReportedEdit], Restoration], quantity: Quantity
) -> TableCell:
    found = [(edit, share_of(edit)) for edit in edits]
    defined = [PairValue.of(edit, share.value) for edit, share in found if not math.isnan(share.value)]
    undefined = [share.note for _, share in found if math.isnan(share.value)]
    reasons = " or ".join(dict.fromkeys(undefined))
    if not defined:
        return TableCell.dash(f"undefined: {reasons}") if found else TableCell()
    left_out = f"without {count(len(undefined), 'pair')}: {reasons}" if undefined else ""
    return pairs_cell(defined, quantity, left_out)


class PairValue(NamedTuple):
    """A number of an edit, with what it shares with others that are not independent of it, and its seed."""

    value: float
    cluster: str
    seed: int

    @classmethod
    def of(cls, edit: ReportedEdit, value: float) -> PairValue:
        """Return that of an edit: its cluster is its problem, or without one its own pair's name."""
        return cls(value, edit.task_id or edit.cell.training_set, edit.cell.seed)


def pairs_cell(values: Sequence[PairValue], quantity: Quantity, note: str = "") -> TableCell:
    """Return the cell of the mean of shares, at least one, with its interval and the SD between seeds."""
    seeds: dict[int, list[PairValue]] = {}
    for one in values:
        seeds.setdefault(one.seed, []).append(one)
    means = {
        seed: few_values_mean([one.value for one in found], "pair", [one.cluster for one in found])
        for seed, found in seeds.items()
    }
    of_seeds = [mean.mean for mean in means.values()]
    mean = _over_seeds(means) if len(means) > 1 else next(iter(means.values()))
    return with_spread(_mean_cell(mean, quantity, note), of_seeds, quantity)


def _over_seeds(seeds: Mapping[int, FewValuesMean]) -> FewValuesMean:
    """The pairs of a seed are few, and mostly not those of another, so what seeds share counts as all of it."""
    found = pool([Measurement("", mean.mean, *mean.large_sample, mean.clusters) for mean in seeds.values()])
    note = "; ".join(f"seed {seed}: {mean.note}" for seed, mean in seeds.items() if mean.note)
    return FewValuesMean(sum(mean.n for mean in seeds.values()), found.value, found.low, found.high, note=note)


def _mean_cell(mean: FewValuesMean, quantity: Quantity, note: str) -> TableCell:
    notes = "; ".join(filter(None, (note, mean.note)))
    return number_cell(Measurement("", mean.mean, mean.low, mean.high, 0, notes), quantity)


def clean_change(edits: Sequence[ReportedEdit]) -> Estimate | None:
    """Return how clean pass@1 differs after edits: the mean over edits; None for fewer than two problems.

    No edit counts the problem that it was made from. The interval is over problems, each with its mean over the
    edits that were judged on it. Since an edit leaves a problem out, the mean over problems differs a little from the
    one over edits; the interval is moved by that. Of several seeds it is over seeds, too.
    """
    seeds = list(by_seed(edits).values())
    if len(seeds) > 1:
        return over_seeds([clean_change(of_seed) for of_seed in seeds], [_changes(of_seed) for of_seed in seeds])
    pairs = [edit.clean_rates for edit in edits]
    change = rates_change([own for own, _ in pairs], [base for _, base in pairs])
    if change is None:
        return None
    mean = fmean(of_edit.value for edit in edits if (of_edit := edit.clean_change) is not None)
    moved = mean - change.value
    return replace(change, value=mean, low=max(change.low + moved, -1.0), high=min(change.high + moved, 1.0))


def over_seeds(seeds: Sequence[Estimate | None], values: Sequence[Mapping[str, float]]) -> Estimate | None:
    """`seeds`: the difference of each, None for one without. `values`: the difference on each problem, by seed."""
    known = [(change, of_seed) for change, of_seed in zip(seeds, values, strict=True) if change is not None]
    if len(known) < 2:
        return known[0][0] if known else None
    tasks, table = shared_values(*(of_seed for _, of_seed in known))
    changes = [change for change, _ in known]
    found = pool(changes, shared_variance(table) if tasks else 1.0, limits=(-1.0, 1.0))
    return replace(found, n=max(change.n for change in changes))


def _changes(edits: Sequence[ReportedEdit]) -> dict[str, float]:
    changes: dict[str, list[float]] = {}
    for own, base in (edit.clean_rates for edit in edits):
        for task, rate in own.items():
            changes.setdefault(task, []).append(rate - base[task])
    return {task: fmean(of_task) for task, of_task in changes.items()}


def clean_cells(edits: Sequence[ReportedEdit]) -> tuple[TableCell, TableCell]:
    number, within = change_cells(clean_change(edits))
    means = (change.value for of in by_seed(edits).values() if (change := clean_change(of)) is not None)
    return with_spread(number, means, CLEAN_CHANGE), within


def change_cells(change: Estimate | None) -> tuple[TableCell, TableCell]:
    """Return the cells of a difference of clean pass@1: the number, and whether it is within one point."""
    if change is None:
        return TableCell(), TableCell()
    number = number_cell(replace(change, n=0, sd=math.nan, seeds=0), CLEAN_CHANGE)
    said = closeness(change)
    few = f"{count(change.n, 'problem')} are too few to show it" if change.n < FEWEST_WITHIN else ""
    return number, TableCell.said(said, few if said == UNSHOWN else "")


def closeness(change: Estimate) -> str:
    if change.low >= -NEAR and change.high <= NEAR:
        return WITHIN
    return BEYOND if change.low > NEAR or change.high < -NEAR else UNSHOWN


def ends(edits: Iterable[ReportedEdit]) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for edit in edits:
        if edit.ended:
            reason = edit.ended.partition(":")[0]
            reasons[reason] = reasons.get(reason, 0) + 1
    return reasons


def judged_cell(edits: Sequence[ReportedEdit]) -> TableCell:
    number = len(judged(edits))
    reasons = [f"{count(of_reason, 'edit')}: {reason}" for reason, of_reason in ends(edits).items()]
    rest = len(edits) - number - sum(ends(edits).values())
    reasons += [f"{count(rest, 'edit')} failed or not judged yet"] if rest else []
    text = f"{number:,}" if number == len(edits) else f"{number:,} of {len(edits):,}"
    return TableCell.number(float(number), text, "; ".join(reasons))


def no_evidence(problem_sets: Iterable[str]) -> str:
    """Return the sentence that MiniCode shows nothing of real models; empty without it among the problem sets."""
    if not any(name.startswith("minicode") for name in problem_sets):
        return ""
    return "MiniCode is a toy for trying raysweep out: its numbers say nothing about real models."
