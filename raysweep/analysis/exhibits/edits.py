"""The records of edited models and of rewritten prompts, which the kinds of `layer_editing/` draw from.

An edit changes a few weights of a base model from one edit example. Its model is judged on the pair's category (the
perturbation, on the pair's problem set) and on clean prompts, without the problem of the pair. Rates are pass@1 by task
id, from 0 to 1, each the mean over the completions of a prompt.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean

from raysweep.analysis.comparisons.estimate import Estimate, estimate
from raysweep.metrics.base import CellLabels, Measurement
from raysweep.metrics.restoration import (
    L_RIR,
    NO_PROBLEM,
    RI,
    CategoryAccuracy,
    Restoration,
    category_accuracy,
    clean_gain,
    restored,
    restored_by_task,
    restored_share,
)
from raysweep.records import CLEAN, BlockAccuracy, PromptPair
from raysweep.stats.intervals import FEWEST, interval_note
from raysweep.units import count

Rates = Mapping[str, float]
AUTO = "auto"
"""The setting `edit_at` of an editor that changes the block which its localization finds."""
CLEAN_CHANGE = "clean_change"
"""The metric of pass@1 on clean prompts minus the base's."""
BLOCK, LOCALIZATION_SECONDS, EDIT_SECONDS, CHECK_SECONDS, MEMORY_BYTES, RELATIVE_CHANGE = WORK = (
    "edited_block",
    "localization_seconds",
    "edit_seconds",
    "check_seconds",
    "memory_bytes",
    "relative_change",
)
"""The metrics of an edit's work, in the units of `EditWork`."""


@dataclass(frozen=True)
class BaseRates:
    """A base model on the test sets of a category: `clean` and `perturbed` prompts; empty if not judged."""

    clean: Rates = field(default_factory=dict)
    perturbed: Rates = field(default_factory=dict)


@dataclass(frozen=True)
class EditWork:
    """What an edit did and took. What is not known is NaN.

    Attributes:
        block: that it changed, from 0; None: it made an adapter, or it is not known.
        blocks: number of blocks of the model; 0: unknown.
        localization_seconds: of finding the block; 0 without.
        edit_seconds: of changing it.
        check_seconds: of comparing weights and logits before and after.
        memory_bytes: most memory in use meanwhile: of the accelerator, or by the process so far.
        relative_change: ||dW|| / ||W|| of the matrix, Frobenius norms.
        changes_nothing: why the edit has no effect on logits; empty if it has one.
    """

    block: int | None = None
    blocks: int = 0
    localization_seconds: float = float("nan")
    edit_seconds: float = float("nan")
    check_seconds: float = float("nan")
    memory_bytes: float = float("nan")
    relative_change: float = float("nan")
    changes_nothing: str = ""

    @property
    def depth(self) -> float | None:
        """The block's place from 0, the first, to below 1: l / N; None without a block."""
        return self.block / self.blocks if self.block is not None and self.blocks else None

    @property
    def measurements(self) -> Iterator[Measurement]:
        """What is known of the work, as numbers without an interval; blocks count from 0."""
        numbers = (
            math.nan if self.block is None else self.block,
            self.localization_seconds,
            self.edit_seconds,
            self.check_seconds,
            self.memory_bytes,
            self.relative_change,
        )
        for metric, number in zip(WORK, numbers, strict=True):
            note = f"of {count(self.blocks, 'block')}, from 0" if metric == BLOCK and self.blocks else ""
            if not math.isnan(number):
                yield Measurement(metric, float(number), math.nan, math.nan, 0, note)


@dataclass(frozen=True)
class ReportedEdit:
    """One edit of the grid, made or not.

    Attributes:
        cell: the labels of the edited model; its training set names the pair.
        problem_set: of the pair.
        perturbation: of the pair: the category.
        editor: the registered name.
        edit_at: the block's setting as text; empty for an editor without one.
        settings: the editor's other settings, as one text; equal ones are the same but for `edit_at`.
        ended: why no model was made, such as ``no such pair``; empty if one was, or the cell failed or is not done.
        task_ids: of the problems of its examples, mostly one, which count nowhere; none if not known.
        work: what the edit did; None without a model.
        eligible: number of the eligible pairs of the category; None if not known.
        pairs: the prompts, mostly of one example; none if not known.
        localization: what patching each block restored; empty without a localization.
        base: the base model's rates.
        clean: the edited model's on clean prompts.
        perturbed: the edited model's on the category.
        repaired: the edited model's on the perturbed prompts that it was edited from, so of one draw; NaN if not known.
        from_others: whether its examples are of another category than that of which it has the rates.
        which: which of its category's examples it is from, as in the name of its pair: ``pair2``.
    """

    cell: CellLabels
    problem_set: str
    perturbation: str
    editor: str
    edit_at: str = ""
    settings: str = ""
    ended: str = ""
    task_ids: tuple[str, ...] = ()
    eligible: int | None = None
    work: EditWork | None = None
    pairs: Sequence[PromptPair] = ()
    localization: Sequence[BlockAccuracy] = ()
    base: BaseRates = field(default_factory=BaseRates)
    clean: Rates = field(default_factory=dict)
    perturbed: Rates = field(default_factory=dict)
    repaired: float = float("nan")
    from_others: bool = False
    which: str = ""

    @property
    def task_id(self) -> str:
        """The problems of its examples, in words."""
        return ", ".join(self.task_ids)

    @property
    def is_judged(self) -> bool:
        return bool(self.perturbed)

    @cached_property
    def accuracy(self) -> CategoryAccuracy:
        """The accuracies on the category, over the problems that both models were judged on, without the edited one."""
        return category_accuracy(self.base.clean, self.base.perturbed, self.perturbed, self.task_ids)

    @property
    def clean_gain(self) -> Restoration:
        """What clean prompts gained as a share of the category's loss, over the problems that all rates have."""
        of_edited = self.perturbed.keys() & self.clean.keys() - set(self.task_ids)
        tasks = of_edited & self.base.clean.keys() & self.base.perturbed.keys()
        if not tasks:
            return Restoration(math.nan, NO_PROBLEM)
        rates = (self.base.clean, self.base.perturbed, self.clean)
        return clean_gain(*(fmean(of[task] for task in tasks) for of in rates))

    @cached_property
    def restored(self) -> Measurement:
        """G-RIR with its interval over problems; undefined with its reason."""
        return restored(self.base.clean, self.base.perturbed, self.perturbed, self.task_ids)

    @cached_property
    def restored_by_task(self) -> Measurement:
        """G-RIR as the package of CREME's authors computes it, with its interval over problems."""
        return restored_by_task(self.base.clean, self.base.perturbed, self.perturbed, self.task_ids)

    @property
    def own(self) -> tuple[float, float, float] | None:
        """Pass@1 on the edited prompts: the base's without and with the perturbation, the edited model's with it.

        Of the samples that score the base, on the first draw. None where one of them is not known.
        """
        if not self.pairs or math.isnan(self.repaired):
            return None
        original = fmean(pair.accuracy_original for pair in self.pairs)
        return original, fmean(pair.accuracy_perturbed for pair in self.pairs), self.repaired

    @cached_property
    def clean_change(self) -> Measurement | None:
        """Pass@1 on clean prompts minus the base's, with a paired interval over problems; None without verdicts."""
        return _change(*self.clean_rates)

    @property
    def deciding(self) -> Sequence[BlockAccuracy]:
        """The localization's rows of the positions that its setting names, by which it chooses a block."""
        positions = self.setting("positions", "all")
        return [row for row in self.localization if row.positions == positions]

    def setting(self, name: str, default: str) -> str:
        """Return a setting of the editor; `default`: where a sweep of an older version doesn't name it."""
        return str(json.loads(self.settings or "{}").get(name, default))

    @property
    def found(self) -> BlockAccuracy | None:
        block = self.work.block if self.work is not None and self.edit_at == AUTO else None
        return next((row for row in self.deciding if row.block == block), None)

    def measurements(self) -> Iterator[tuple[str, Measurement]]:
        """Yield the numbers of an edit that was made, each with the perturbation of its test set."""
        if self.work is None:
            return
        if self.is_judged:
            yield self.perturbation, self.restored
            yield self.perturbation, self.restored_by_task
        if self.from_others:
            return
        if self.own is not None:
            original, perturbed, repaired = self.own
            note = f"of the edited prompt: {perturbed:g} to {repaired:g}, and {original:g} unperturbed"
            yield self.perturbation, Measurement(L_RIR, restored_share(*self.own).value, math.nan, math.nan, 1, note)
        if (change := self.clean_change) is not None:
            yield CLEAN, change
        if (found := self.found) is not None:
            samples = f"{found.accuracy_perturbed:g} to {found.accuracy:g}, and {found.accuracy_original:g} unperturbed"
            patched = f"block {found.block} (positions: {found.positions}, phase: {found.phase})"
            note = f"{patched}, {count(found.samples, 'sample')} of the pair: {samples}"
            yield self.perturbation, Measurement(RI, found.restoration, math.nan, math.nan, 1, note)
        for number in self.work.measurements:
            yield self.perturbation, number

    @property
    def clean_rates(self) -> tuple[Rates, Rates]:
        """The rates on clean prompts that both models have, without the edited problem: edited, base."""
        return _of_both(self.clean, self.base.clean, self.task_ids)


@dataclass(frozen=True)
class RewrittenPrompts:
    """A test set whose prompts a base model rewrote before it completed them (Self-Denoising).

    Attributes:
        cell: the labels of its completions.
        problem_set: of the prompts.
        perturbation: of the prompts, also ``clean``.
        reasons: how many prompts were accepted, or kept as they were, by reason.
        base: the model's rates on the prompts as they were.
        rates: its rates on the rewritten prompts.
    """

    cell: CellLabels
    problem_set: str
    perturbation: str
    reasons: Mapping[str, int] = field(default_factory=dict)
    base: BaseRates = field(default_factory=BaseRates)
    rates: Rates = field(default_factory=dict)

    def measurements(self) -> Iterator[tuple[str, Measurement]]:
        """Yield G-RIR of a category, or the change of pass@1 on clean prompts, each with its perturbation."""
        if self.perturbation != CLEAN and self.rates:
            yield self.perturbation, restored(self.base.clean, self.base.perturbed, self.rates)
        if self.perturbation == CLEAN and (change := _change(*self.clean_rates)) is not None:
            yield CLEAN, change

    @property
    def clean_rates(self) -> tuple[Rates, Rates]:
        """The rates on rewritten and on original prompts, over the problems that have both."""
        return _of_both(self.rates, self.base.clean)


@dataclass(frozen=True)
class Edits:
    """All edits and rewritten test sets of a sweep, in the grid's order; `made` also has those that were not made.

    `transferred`: edits of one category on another one, a record for each.
    """

    made: Sequence[ReportedEdit] = ()
    rewritten: Sequence[RewrittenPrompts] = ()
    transferred: Sequence[ReportedEdit] = ()


def clusters_of(edits: Sequence[ReportedEdit]) -> list[str]:
    """Return a name for each edit, the same one for edits that share a problem, also by way of others."""
    names = [set(edit.task_ids) or {edit.cell.training_set} for edit in edits]
    clusters: list[set[str]] = []
    for own in names:
        shared = [cluster for cluster in clusters if cluster & own]
        clusters = [cluster for cluster in clusters if cluster not in shared] + [own.union(*shared)]
    return [min(next(cluster for cluster in clusters if own <= cluster)) for own in names]


def rates_change(after: Sequence[Rates], before: Sequence[Rates]) -> Estimate | None:
    """The rates are of one or several test sets, the same ones of both; None for fewer than two shared problems."""
    import numpy as np

    both: tuple[dict[str, list[float]], ...] = ({}, {})
    for own, other in zip(after, before, strict=True):
        for task in (task for task in own if task in other):
            for rates, one in zip(both, (own, other), strict=True):
                rates.setdefault(task, []).append(one[task])
    if len(both[0]) < FEWEST:
        return None
    edited, base = (np.array([[fmean(rates) for rates in one.values()]]) for one in both)
    return estimate(base, edited, CLEAN_CHANGE)


def _of_both(after: Rates, before: Rates, left_out: Collection[str] = ()) -> tuple[Rates, Rates]:
    tasks = [task for task in after if task in before and task not in left_out]
    return {task: after[task] for task in tasks}, {task: before[task] for task in tasks}


def _change(after: Rates, before: Rates) -> Measurement | None:
    if not after:
        return None
    change = rates_change([after], [before])
    low, high = (math.nan, math.nan) if change is None else (change.low, change.high)
    difference = fmean(after.values()) - fmean(before.values())
    return Measurement(CLEAN_CHANGE, difference, low, high, len(after), interval_note(len(after)))
