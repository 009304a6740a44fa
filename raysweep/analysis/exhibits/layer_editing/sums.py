"""Sums up edits and rewritten prompts: groups them, and gives the numbers of a group, which is a row of tables.

Intervals of the share restored are over pairs: each pair is one value, pairs of one problem are one cluster, and the
prompts of a category are those that there are. Of rewritten prompts they are over problems. Intervals of clean accuracy
are over problems, paired with the base model's, and the pairs are those that there are. Of several seeds a number is
the mean over the seeds' own, with the standard deviation between them, and its interval is over seeds, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from statistics import fmean
from typing import TypeVar

from raysweep.analysis.comparisons.base import shared_values
from raysweep.analysis.comparisons.estimate import Estimate, defined, pool
from raysweep.analysis.exhibits.edits import Rates, ReportedEdit, RewrittenPrompts, clusters_of, rates_change
from raysweep.analysis.tables.quantities import Quantity, number_cell
from raysweep.analysis.tables.table import TableCell
from raysweep.metrics.base import Measurement
from raysweep.metrics.restoration import Restoration, gained, relative_gain, restored, restored_by_task, restored_share
from raysweep.stats.few_values import few_values_mean
from raysweep.stats.seeds import shared_variance
from raysweep.units import count

E = TypeVar("E")
R = TypeVar("R", ReportedEdit, RewrittenPrompts)
RESTORED = Quantity("G-RIR", "restored")
CLEAN_CHANGE = Quantity("clean", "clean", "points", signed=True)
OTHERS = " · other category"
"""Behind the name of a method: its edits from examples of other categories than that which they are evaluated on."""
ALL = "all categories"
"""All categories of a method together."""


@dataclass(frozen=True)
class EditGroup:
    """The edits, or the rewritten prompts, of one recipe or at one block, for a model and a category of a problem set.

    Groups that differ in nothing but the name are compared with one another.

    Attributes:
        category: a perturbation, or `ALL`.
        name: of the recipe, or the block's setting.
        seed: words that name the seed where there are several and each has a row; else empty.
        editor: of edits at a block; else empty.
        settings: of the editor, but for the block.
    """

    problem_set: str
    model: str
    category: str
    name: str
    seed: str = ""
    editor: str = ""
    settings: str = ""

    @property
    def method(self) -> str:
        return f"{self.name}{self.seed}"


def grouped(records: Iterable[R], *, over_seeds: bool = False) -> dict[EditGroup, list[R]]:
    """Return records by recipe, in their order; none of `ALL`. `over_seeds`: whether all seeds are together."""
    records = list(records)
    several = not over_seeds and len({one.cell.seed for one in records}) > 1
    groups: dict[EditGroup, list[R]] = {}
    for one in records:
        seed = f" · seed {one.cell.seed}" if several else ""
        group = EditGroup(one.problem_set, one.cell.model, one.perturbation, one.cell.recipe, seed)
        groups.setdefault(group, []).append(one)
    return groups


def over_categories(groups: Mapping[EditGroup, Sequence[R]]) -> dict[EditGroup, list[R]]:
    together: dict[EditGroup, list[R]] = {}
    for group, records in groups.items():
        together.setdefault(replace(group, category=ALL), []).extend(records)
    return together


def at_blocks(groups: Mapping[EditGroup, Sequence[ReportedEdit]]) -> dict[EditGroup, list[ReportedEdit]]:
    """Return edits by block in place of the recipe, those of editors with several values of `edit_at`."""
    blocks: dict[EditGroup, list[ReportedEdit]] = {}
    names: dict[EditGroup, set[str]] = {}
    for group, edits in groups.items():
        first = edits[0]
        at = replace(group, name=first.edit_at, editor=first.editor, settings=first.settings)
        if first.edit_at:
            blocks.setdefault(at, []).extend(edits)
            names.setdefault(replace(at, category=ALL, name=""), set()).add(at.name)
    return {at: edits for at, edits in blocks.items() if len(names[replace(at, category=ALL, name="")]) > 1}


def by_seed(records: Iterable[R]) -> dict[int, list[R]]:
    seeds: dict[int, list[R]] = {}
    for one in records:
        seeds.setdefault(one.cell.seed, []).append(one)
    return seeds


def mean_of(records: Iterable[E], value: Callable[[E], float]) -> float:
    """Return the mean of a number over the records that have it; NaN without any."""
    values = [number for one in records if not math.isnan(number := value(one))]
    return fmean(values) if values else math.nan


@dataclass(frozen=True)
class Sums:
    """The numbers of a group over all its seeds: shares from 0 to 1. None or NaN: it has no such number.

    Attributes:
        edits: how many were judged, of how many, and why not the others.
        original: pass@1 of the base model on the original prompts.
        perturbed: of the base model on the perturbed prompts.
        repaired: of the edited models on these, or of the base model on the rewritten prompts.
        gain: (repaired - perturbed) / perturbed.
        restored: G-RIR.
        by_task: G-RIR by task, see `raysweep.metrics.restoration`.
        own_restored: L-RIR.
        own_gain: (repaired - perturbed) / perturbed of the means over the edited prompts themselves.
        change: pass@1 on clean prompts minus the base's.
        clean_gain: what clean prompts gained, as a share of what the category lost.
        on_shared: G-RIR over the pairs from which all groups beside this one have a judged edit.
        unshared: how many of its judged edits are of other pairs.
        difference: G-RIR minus that of the group that others are compared with, over the pairs that both have.
    """

    edits: TableCell
    original: float
    perturbed: float
    repaired: Measurement | None
    gain: Measurement | None
    restored: Measurement | None
    change: Estimate | None
    clean_gain: Measurement | None = None
    by_task: Measurement | None = None
    own_restored: Measurement | None = None
    own_gain: Measurement | None = None
    on_shared: Measurement | None = None
    unshared: int = 0
    difference: Measurement | None = None


def sums_of_edits(groups: Mapping[EditGroup, Sequence[ReportedEdit]], against: str = "") -> dict[EditGroup, Sums]:
    """`against`: the name of the groups that others are compared with; empty: none are.

    Pairs of another seed are other ones, so where groups have all seeds together, a seed that one of them lacks has no
    shared pair.
    """
    done = {group: [edit for edit in edits if edit.is_judged] for group, edits in groups.items()}
    pairs: dict[EditGroup, set[tuple[str, int, str]]] = {}
    for group, edits in done.items():
        if _may_share(edits):
            beside, own = replace(group, name=""), set(map(_pair_of, edits))
            pairs[beside] = pairs.get(beside, own) & own
    found = {}
    for group, edits in done.items():
        shared = [edit for edit in edits if _pair_of(edit) in pairs.get(replace(group, name=""), ())]
        others = done.get(replace(group, name=against), ())
        seeds = list(by_seed(edits).values())
        original, perturbed, repaired = (
            [mean_of(of_seed, attrgetter(f"accuracy.{name}")) for of_seed in seeds]
            for name in ("original", "perturbed", "repaired")
        )
        found[group] = Sums(
            judged_cell(groups[group]),
            mean_of(original, float),
            mean_of(perturbed, float),
            _mean_rate(repaired),
            _mean_share(edits, lambda edit: edit.accuracy.gain),
            mean_restored(edits),
            clean_change([[edit.clean_rates for edit in of_seed] for of_seed in seeds]),
            _mean_share(edits, attrgetter("clean_gain")),
            _mean_share(edits, lambda edit: Restoration(edit.restored_by_task.value, edit.restored_by_task.note)),
            _mean_share([edit for edit in edits if edit.own], lambda edit: restored_share(*(edit.own or ()))),
            _own_gain(seeds),
            _on_shared(edits, shared) if _may_share(edits) else None,
            len(edits) - len(shared) if _may_share(edits) else 0,
            _difference(edits, others, group) if against not in ("", group.name) and _is_own(edits) else None,
        )
    return found


def sums_of_rewritten(
    groups: Mapping[EditGroup, Sequence[RewrittenPrompts]], clean: Iterable[RewrittenPrompts]
) -> dict[EditGroup, Sums]:
    """`clean`: the clean prompts that were rewritten, of all groups."""
    changes = {(one.cell, one.problem_set): [one.clean_rates] for one in clean}
    found = {}
    for group, rewritten in groups.items():
        seeds = list(by_seed(rewritten).values())
        rates = [_rates_of(of_seed) for of_seed in seeds]
        original, perturbed, repaired = ([mean_of(of[at].values(), float) for of in rates] for at in range(3))
        gain, share, by_task = (
            pool(defined(numbers), asked=len(numbers)) if len(numbers) > 1 else numbers[0]
            for numbers in ([measure(*of) for of in rates] for measure in (gained, restored, restored_by_task))
        )
        found[group] = Sums(
            TableCell(),
            mean_of(original, float),
            mean_of(perturbed, float),
            _mean_rate(repaired),
            gain,
            share,
            clean_change([changes.get((of_seed[0].cell, group.problem_set), []) for of_seed in seeds]),
            by_task=by_task,
        )
    return found


def _rates_of(rewritten: Sequence[RewrittenPrompts]) -> tuple[Rates, Rates, Rates]:
    """Return the base's rates on original and on perturbed prompts, and those on rewritten ones, over categories."""
    found: tuple[dict[str, list[float]], ...] = ({}, {}, {})
    for one in rewritten:
        own = (one.base.clean, one.base.perturbed, one.rates)
        for task in (task for task in one.rates if all(task in rates for rates in own)):
            for values, rates in zip(found, own, strict=True):
                values.setdefault(task, []).append(rates[task])
    original, perturbed, repaired = ({task: fmean(of) for task, of in values.items()} for values in found)
    return original, perturbed, repaired


def _mean_rate(seeds: Iterable[float]) -> Measurement | None:
    known = [_number(rate) for rate in seeds if not math.isnan(rate)]
    return pool(known) if len(known) > 1 else next(iter(known), None)


def _number(value: float, note: str = "") -> Measurement:
    return Measurement("", value, math.nan, math.nan, 0, note)


def sum_cell(number: Measurement | None, quantity: Quantity) -> TableCell:
    """Return the cell of a number; an empty one without."""
    return TableCell() if number is None else number_cell(number, quantity)


def _may_share(edits: Sequence[ReportedEdit]) -> bool:
    """Return whether other groups may have edits from the very examples of a group's."""
    return _is_own(edits) and len(edits[0].task_ids) < 2


def _is_own(edits: Sequence[ReportedEdit]) -> bool:
    return bool(edits) and not edits[0].from_others


def _pair_of(edit: ReportedEdit) -> tuple[str, int, str]:
    return edit.cell.training_set, edit.cell.seed, edit.perturbation


def with_others(
    own: Mapping[EditGroup, list[ReportedEdit]], transferred: Iterable[ReportedEdit], *, over_seeds: bool
) -> dict[EditGroup, list[ReportedEdit]]:
    """Return groups of edits, each with a control behind it: edits by its method from examples of other categories."""
    others = grouped(transferred, over_seeds=over_seeds)
    found: dict[EditGroup, list[ReportedEdit]] = {}
    for group, edits in own.items():
        found[group] = edits
        if group in others:
            found[replace(group, name=f"{group.name}{OTHERS}")] = others[group]
    return found


def mean_restored(edits: Sequence[ReportedEdit]) -> Measurement | None:
    return _mean_share(edits, lambda edit: edit.accuracy.restored)


def _mean_share(edits: Sequence[ReportedEdit], share_of: Callable[[ReportedEdit], Restoration]) -> Measurement | None:
    undefined = [share.note for share in map(share_of, edits) if math.isnan(share.value)]
    reasons = " or ".join(dict.fromkeys(undefined))
    if edits and len(undefined) == len(edits):
        return _number(math.nan, f"undefined: {reasons}")
    left_out = f"without {count(len(undefined), 'pair')}: {reasons}" if undefined else ""
    return over_pairs(edits, lambda edit: share_of(edit).value, left_out)


def over_pairs(
    edits: Sequence[ReportedEdit], value: Callable[[ReportedEdit], float], note: str = "", unless: str = ""
) -> Measurement | None:
    """Return the mean of a share over the edits that have it, with its interval; None without any.

    `unless`: why an edit may lack it; then the number is NaN where all do, and its note counts those that do.

    Edits of one problem are one cluster. The pairs of a seed are few, and mostly not those of another, so what seeds
    share counts as all of it.
    """
    if lacking := unless and sum(math.isnan(value(edit)) for edit in edits):
        note = f"without {count(lacking, 'pair')}: {unless}"
        if lacking == len(edits):
            return _number(math.nan, f"undefined: {unless}")
    means = {
        seed: few_values_mean(list(map(value, of_seed)), "pair", clusters_of(of_seed))
        for seed, of_seed in by_seed(edit for edit in edits if not math.isnan(value(edit))).items()
    }
    if not means:
        return None
    first = next(iter(means.values()))
    if len(means) == 1:
        return Measurement("", first.mean, first.low, first.high, 0, "; ".join(filter(None, (note, first.note))))
    found = pool([Measurement("", mean.mean, *mean.large_sample, mean.clusters) for mean in means.values()])
    notes = [note, *(f"seed {seed}: {mean.note}" for seed, mean in means.items() if mean.note)]
    return replace(found, n=0, note="; ".join(filter(None, notes)))


def _on_shared(edits: Sequence[ReportedEdit], shared: Sequence[ReportedEdit]) -> Measurement | None:
    if (mean := mean_restored(shared)) is None:
        return _number(math.nan, "no pair has an edited model of each method") if edits else None
    lost = ", ".join(str(seed) for seed in sorted(by_seed(edits).keys() - by_seed(shared).keys()))
    without = f"without the seed {lost}: not all methods share a pair" if lost else ""
    pairs = f"over {count(len(set(map(_pair_of, shared))), 'shared pair')}"
    return replace(mean, note="; ".join(filter(None, (pairs, without, mean.note))))


def _own_gain(seeds: Iterable[Sequence[ReportedEdit]]) -> Measurement | None:
    """Return the relative gain on the edited prompts: of their means, since most of them never passed; over seeds."""
    gains = []
    for edits in seeds:
        if own := [edit.own for edit in edits if edit.own is not None]:
            _, perturbed, repaired = (fmean(rates) for rates in zip(*own, strict=True))
            gain = relative_gain(perturbed, repaired)
            note = gain.note or f"pass@1 of the edited prompts, {100 * perturbed:.1f} % to {100 * repaired:.1f} %"
            gains.append(_number(gain.value, note))
    return pool(defined(gains), asked=len(gains)) if len(gains) > 1 else next(iter(gains), None)


def _difference(edits: Sequence[ReportedEdit], others: Sequence[ReportedEdit], group: EditGroup) -> Measurement:
    values = {_pair_of(edit): edit.accuracy.restored.value for edit in others}
    mean = over_pairs(edits, lambda edit: edit.accuracy.restored.value - values.get(_pair_of(edit), math.nan))
    return mean or _number(math.nan, f"no pair was edited {'at both blocks' if group.editor else 'by both methods'}")


def clean_change(seeds: Iterable[Sequence[tuple[Rates, Rates]]]) -> Estimate | None:
    """Return how clean pass@1 differs: the mean over test sets and seeds; None for fewer than two problems.

    No edit counts the problem that it was made from. The interval is over problems, each with its mean over the
    edits that were judged on it. Since an edit leaves a problem out, the mean over problems differs a little from the
    one over edits; the interval is moved by that. Of several seeds it is over seeds, too.

    `seeds`: of each edit, or rewriting, of a seed: its rates and the base's, on the same problems.
    """
    known, values = [], []
    for rates in seeds:
        if (change := rates_change([own for own, _ in rates], [base for _, base in rates])) is None:
            continue
        mean = fmean(fmean(own.values()) - fmean(base.values()) for own, base in rates if own)
        moved = mean - change.value
        low, high = max(change.low + moved, -1.0), min(change.high + moved, 1.0)
        known.append(replace(change, value=mean, low=low, high=high, seeds=0))
        changes: dict[str, list[float]] = {}
        for own, base in rates:
            for task, rate in own.items():
                changes.setdefault(task, []).append(rate - base[task])
        values.append({task: fmean(of_task) for task, of_task in changes.items()})
    if len(known) < 2:
        return next(iter(known), None)
    tasks, table = shared_values(*values)
    found = pool(known, shared_variance(table) if tasks else 1.0, limits=(-1.0, 1.0))
    return replace(found, n=max(change.n for change in known))


def ends(edits: Iterable[ReportedEdit]) -> Mapping[str, int]:
    """Return how many edits ended without a model, by reason."""
    return Counter(edit.ended.partition(":")[0] for edit in edits if edit.ended)


def judged_cell(edits: Sequence[ReportedEdit]) -> TableCell:
    """Return the cell of how many edits were judged, with the reasons of the others."""
    if edits and edits[0].from_others:
        edits = list({edit.cell: edit for edit in edits}.values())  # a record for each category
    asked, number = len(edits), sum(edit.is_judged for edit in edits)
    reasons = [f"{count(of_reason, 'edit')}: {reason}" for reason, of_reason in ends(edits).items()]
    rest = asked - number - sum(ends(edits).values())
    reasons += [f"{count(rest, 'edit')} failed or not judged yet"] if rest else []
    text = f"{number:,}" if number == asked else f"{number:,} of {asked:,}"
    return TableCell.number(float(number), text, "; ".join(reasons))


def no_evidence(problem_set: str) -> str:
    """Return the sentence that MiniCode shows nothing of real models; empty for other problem sets."""
    is_toy = problem_set.startswith("minicode")
    return "MiniCode is a toy for trying raysweep out: its numbers say nothing about real models." if is_toy else ""
