"""Measures how much of what a perturbation costs comes back: restoration of a block (RI) and of a category (G-RIR).

Both are (repaired - perturbed) / (original - perturbed), of accuracies on the same problems: RI of the completions of
one prompt while a block is patched, G-RIR of a model that was edited from one edit example, over the other prompts of
the pair's perturbation. CREME names G-RIR without printing its formula; ours divides sums over the category. The public
package of its authors (https://github.com/AyushGupta-Code/CREME-Not-Every-Layer-Counts, commit f68a356) takes the mean
of each prompt's own share, over those that broke: `restored_by_task`. On the edited prompt itself the share is L-RIR.
The relative gain is (repaired - perturbed) / perturbed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import fsum, isnan, nan
from typing import TYPE_CHECKING, Any

from raysweep.metrics.base import Measurement
from raysweep.stats.bootstrap import RESAMPLES, bootstrap_intervals
from raysweep.stats.intervals import UNDEFINED, interval_note

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

G_RIR = "G-RIR"
"""The metric of a model that was edited, and of one that rewrites its prompts, on a category."""
BY_TASK = "G-RIR by task"
"""The same as the package of CREME's authors computes it."""
L_RIR = "L-RIR"
"""The metric of an edited model on the prompt that it was edited from."""
RI = "RI"
"""The metric of an edited model: RI of the block that its localization found."""
GAIN = "relative gain"
"""The relative change of pass@1 on a category, a column of tables."""

UNKNOWN = "a score it rests on is undefined"
NOTHING_LOST = "the base model is no worse on the perturbed prompts than on the original ones"
NOTHING_PASSED = "the base model passes none of the perturbed prompts"
NONE_BROKE = "no problem of the category broke"
NO_PROBLEM = "no problem has verdicts of both models on both prompts"


@dataclass(frozen=True, slots=True)
class Restoration:
    """The share of a loss that came back: 0 for nothing, 1 for all, without limits above and below; or a relative gain.

    If it is undefined, `value` is NaN and `note` says why.
    """

    value: float
    note: str = ""


def restored_share(original: float, perturbed: float, repaired: float) -> Restoration:
    """Return (repaired - perturbed) / (original - perturbed) of accuracies, 0 to 1; undefined if nothing was lost."""
    return _share_of(original - perturbed, repaired - perturbed, NOTHING_LOST)


def clean_gain(original: float, perturbed: float, clean: float) -> Restoration:
    """Return (clean - original) / (original - perturbed), `clean` being the edited model's on the original prompts.

    It is in the unit of G-RIR: as much of what is restored isn't repair, if the same change helped all prompts alike.
    """
    return _share_of(original - perturbed, clean - original, NOTHING_LOST)


def relative_gain(perturbed: float, repaired: float) -> Restoration:
    """Return (repaired - perturbed) / perturbed of accuracies, 0 to 1; undefined where nothing passed before."""
    return _share_of(perturbed, repaired - perturbed, NOTHING_PASSED)


def _share_of(whole: float, gain: float, nothing: str) -> Restoration:
    if isnan(whole) or isnan(gain):
        return Restoration(nan, UNKNOWN)
    return Restoration(gain / whole) if whole > 0 else Restoration(nan, nothing)


@dataclass(frozen=True)
class CategoryAccuracy:
    """Mean pass@1 over the same problems, from 0 to 1; all are NaN where there is none.

    Attributes:
        n: number of problems.
        original: of the base model on the original prompts.
        perturbed: of the base model on the perturbed prompts.
        repaired: of the edited model on the perturbed prompts.
    """

    n: int
    original: float
    perturbed: float
    repaired: float

    @property
    def restored(self) -> Restoration:
        """The share of the category's loss that came back, G-RIR."""
        if not self.n:
            return Restoration(nan, NO_PROBLEM)
        return restored_share(self.original, self.perturbed, self.repaired)

    @property
    def gain(self) -> Restoration:
        return relative_gain(self.perturbed, self.repaired) if self.n else Restoration(nan, NO_PROBLEM)


def category_accuracy(
    original: Mapping[str, float],
    perturbed: Mapping[str, float],
    repaired: Mapping[str, float],
    left_out: Collection[str] = (),
) -> CategoryAccuracy:
    """Return the accuracies over the problems that all three have.

    Args:
        original: pass@1 of the base model on the original prompts by task id.
        perturbed: of the base model on the perturbed prompts.
        repaired: of the edited model on the perturbed prompts.
        left_out: task ids that count nowhere: that of the edited problem.
    """
    tasks = _shared(original, perturbed, repaired, left_out)
    if not tasks:
        return CategoryAccuracy(0, nan, nan, nan)
    means = (fsum(rates[task] for task in tasks) / len(tasks) for rates in (original, perturbed, repaired))
    return CategoryAccuracy(len(tasks), *means)


def restored(
    original: Mapping[str, float],
    perturbed: Mapping[str, float],
    repaired: Mapping[str, float],
    left_out: Collection[str] = (),
) -> Measurement:
    """Return G-RIR of one model with its 95 % interval over problems, by a Bayesian bootstrap; see `category_accuracy`.

    Where it is undefined, it is NaN with the reason in its note. The note says where few problems were lost, so that
    the interval is rough, and how many resamples it leaves out, since nothing was lost in them.
    """
    share = category_accuracy(original, perturbed, repaired, left_out).restored
    tasks = _shared(original, perturbed, repaired, left_out)
    return _measured(G_RIR, share, [original, perturbed, repaired], tasks, "problems lost")


def restored_by_task(
    original: Mapping[str, float],
    perturbed: Mapping[str, float],
    repaired: Mapping[str, float],
    left_out: Collection[str] = (),
) -> Measurement:
    """Return the mean of (repaired - perturbed) / (original - perturbed + 1e-5) over the problems that broke.

    A problem broke if the base model passes less often with its perturbed prompt. The interval is over these problems.
    They were chosen by the very draws that they are measured by, so a model that changes nothing is above 0, too:
    compare it with a control. Arguments are those of `restored`.
    """
    tasks = [task for task in _shared(original, perturbed, repaired, left_out) if original[task] > perturbed[task]]
    if not tasks:
        return Measurement(BY_TASK, nan, nan, nan, 0, NONE_BROKE)
    shares = [(repaired[task] - perturbed[task]) / (original[task] - perturbed[task] + 1e-5) for task in tasks]
    low, high = UNDEFINED
    if len(tasks) > 1:
        low, high = bootstrap_intervals([[[share] for share in shares]], lambda means: [means[0]])[0]
    return Measurement(BY_TASK, fsum(shares) / len(shares), low, high, len(tasks), interval_note(len(tasks)))


def gained(
    original: Mapping[str, float],
    perturbed: Mapping[str, float],
    repaired: Mapping[str, float],
    left_out: Collection[str] = (),
) -> Measurement:
    """Return the relative gain of one model with its interval, over the problems and in the way of `restored`."""
    share = category_accuracy(original, perturbed, repaired, left_out).gain
    tasks = _shared(original, perturbed, repaired, left_out)
    return _measured(GAIN, share, [perturbed, repaired], tasks, "perturbed prompts passed")


def _measured(
    metric: str, share: Restoration, rates: Sequence[Mapping[str, float]], tasks: Sequence[str], divisor: str
) -> Measurement:
    """Return a share with its interval over problems.

    `rates`: of the base model on the original prompts, if what it lost is divided by, else not; on the perturbed ones;
    then of the other model. `divisor`: what is divided by, in words.
    """
    import numpy as np

    if isnan(share.value):
        return Measurement(metric, nan, nan, nan, len(tasks), share.note)
    left_out = 0

    def whole(numbers: Sequence[Any] | NDArray[np.float64]) -> Any:
        return numbers[0] - numbers[1] if len(rates) > 2 else numbers[0]

    def shares(means: NDArray[np.float64]) -> Sequence[NDArray[np.float64]]:
        nonlocal left_out
        with np.errstate(divide="ignore", invalid="ignore"):
            found = np.where(whole(means) > 0, (means[-1] - means[-2]) / whole(means), np.nan)
        left_out += int(np.isnan(found).sum())
        return [found]

    values = [[[of_model[task]] for task in tasks] for of_model in rates]
    low, high = bootstrap_intervals(values, shares)[0] if len(tasks) > 1 else UNDEFINED
    total = fsum(whole([of_model[task] for of_model in rates]) for task in tasks)
    notes = [interval_note(len(tasks), total, divisor)]
    if left_out:
        notes.append(f"it leaves out {left_out:,} of {RESAMPLES:,} resamples, without any {divisor}")
    return Measurement(metric, share.value, low, high, len(tasks), ", and ".join(filter(None, notes)))


def _shared(
    original: Mapping[str, float],
    perturbed: Mapping[str, float],
    repaired: Mapping[str, float],
    left_out: Collection[str],
) -> list[str]:
    return [task for task in repaired if task in original and task in perturbed and task not in left_out]
