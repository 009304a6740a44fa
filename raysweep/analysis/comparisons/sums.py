"""Compares two cells by the sum of several columns of pass@1: its relative change, with an interval over problems.

The study of FAIT calls the mean of such changes over models the average relative improvement. A column is a problem
set, or a part of its tests such as HumanEval's own among those of HumanEval+.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import TYPE_CHECKING

from raysweep.analysis.comparisons.base import shared_values
from raysweep.analysis.comparisons.estimate import pool, seeds_note
from raysweep.metrics.base import CellLabels, Measurement
from raysweep.records import BASE, NOT_TUNED
from raysweep.seeding import DEFAULT_SEED, derive
from raysweep.stats.bootstrap import resampled_means, statistic_ends
from raysweep.stats.intervals import FEWEST
from raysweep.stats.seeds import shared_variance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PartRates = Mapping[str, Mapping[str, float]]
"""Pass@1 by task id, from 0 to 1, by the part of the tests that counts; the whole tests, ``""``, come last."""
Cells = Mapping[CellLabels, Mapping[str, PartRates]]
"""The rates of a sweep's cells by problem set."""
UNPAIRED = "no interval: the changes are not over the same problems"
NO_COMMON_SEED = "no interval: the models have no seed in common"
COLUMNS_DIFFER = "only the columns that both have count"


@dataclass(frozen=True)
class SumChange:
    """The relative change of the sum of some columns.

    Attributes:
        value: (second − first) / first, as a share, with its 95 % interval; NaN if the first sum is 0 or no column is
            shared.
        first, second: the sums of pass@1 of the baseline and of the other cell, each pass@1 from 0 to 1.
        n: number of problems, over all problem sets.
        sd: of a mean over seeds, the standard deviation between them; NaN for one.
        seeds: of a mean over seeds, how many have the change; 0: it is none.
        tasks: the problems' ids in order, by problem set.
        resampled: the change in each resample, (RESAMPLES,); None if there is no interval, and of several seeds.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    first: float = math.nan
    second: float = math.nan
    n: int = 0
    sd: float = math.nan
    seeds: int = 0
    note: str = ""
    tasks: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False, compare=False)
    resampled: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)


def change_of_sums(
    first: Mapping[str, PartRates], second: Mapping[str, PartRates], seed: int = DEFAULT_SEED
) -> SumChange:
    """The columns of a problem set, and both cells, share the resampled problems; problem sets are resampled apart."""
    import numpy as np

    sums, resampled, has_interval, all_shared = np.zeros(2), 0.0, True, first.keys() == second.keys()
    by_set: dict[str, tuple[str, ...]] = {}
    for problem_set in (name for name in first if name in second):
        parts = [part for part in first[problem_set] if part in second[problem_set]]
        all_shared &= first[problem_set].keys() == second[problem_set].keys()
        tasks, values = shared_values(*(cell[problem_set][part] for cell in (first, second) for part in parts))
        if not tasks:
            continue
        by_set[problem_set] = tuple(tasks)
        sums += values.mean(axis=1).reshape(2, len(parts)).sum(axis=1)
        has_interval &= len(tasks) >= FEWEST
        means = resampled_means(values[:, None, :], _corners(parts), derive(seed, "sums", problem_set))
        resampled = resampled + means[:, :, 0].reshape(2, len(parts), -1).sum(axis=1)
    note = "" if all_shared else COLUMNS_DIFFER
    problems = sum(map(len, by_set.values()))
    if not problems:
        return SumChange(note="no problem has a verdict of both")
    if not sums[0]:
        return SumChange(first=0.0, second=float(sums[1]), n=problems, note="the baseline's sum is 0")
    value = float(sums[1] / sums[0] - 1)
    change = SumChange(value, first=float(sums[0]), second=float(sums[1]), n=problems, note=note, tasks=by_set)
    return _with_interval(change, np.asarray(resampled)[1] / np.asarray(resampled)[0] - 1) if has_interval else change


def changes_between(
    cells: Cells, model: str, recipe: str, baseline: str, training_sets: Collection[str], seed: int = DEFAULT_SEED
) -> dict[CellLabels, SumChange]:
    """Return the change of each of a model's cells of one recipe from its baseline.

    A note says where both lack columns that other cells have: such a sum is smaller than theirs.

    `baseline`: the recipe of the baseline, on the same training set with the same seed; ``base``: the base model.
    """
    changes, every = {}, _columns(cells.values())
    for cell in cells:
        if (cell.model, cell.recipe) == (model, recipe) and cell.training_set in training_sets:
            other = CellLabels(model, baseline, cell.training_set, cell.seed)
            base = (one for one in cells if (one.model, one.recipe, one.training_set) == (model, NOT_TUNED, BASE))
            against = next(base, other) if baseline == BASE else other
            if against in cells:
                change = change_of_sums(cells[against], cells[cell], seed)
                shared = len(_columns([cells[against]]) & _columns([cells[cell]]))
                lacks = shared < len(every) and not math.isnan(change.value)
                note = f"over {shared} of {len(every)} columns; the others have no verdicts of both"
                changes[cell] = replace(change, note=note) if lacks else change
    return changes


def mean_change(changes: Sequence[SumChange]) -> SumChange:
    """Return the mean of several models' changes, which were resampled with one seed.

    Only over the same problems of each problem set do their resamples belong together; else there is no interval.
    Changes that are undefined are left out, and the note counts them. It has the notes of the others too.
    """
    import numpy as np

    known = [change for change in changes if not math.isnan(change.value)]
    left_out = f"mean of {len(known)} of {len(changes)}" if len(known) < len(changes) else ""
    is_paired = _are_paired(known)
    mean = _mean(known, (left_out, *(change.note for change in known), "" if is_paired else UNPAIRED))
    resampled = _resampled(known)
    return _with_interval(mean, np.mean(resampled, axis=0)) if known and is_paired and resampled else mean


def change_over_seeds(seeds: Sequence[SumChange]) -> SumChange:
    """Return the mean of the defined changes, resampled with one seed; a note says where it is within seeds' noise."""
    import numpy as np

    known = [change for change in seeds if not math.isnan(change.value)]
    mean = replace(_mean(known, [change.note for change in known or seeds]), seeds=len(known))
    if len(known) < FEWEST:
        return replace(known[0], seeds=1) if known else mean
    resampled = _resampled(known) if _are_paired(known) else []
    shared = shared_variance(np.stack(resampled)) if resampled else 1.0
    numbers = [Measurement("", change.value, change.low, change.high, change.n) for change in known]
    found = pool(numbers, shared, limits=(-1, math.inf))
    note = "; ".join(filter(None, (mean.note, seeds_note(change.value for change in known))))
    return replace(mean, low=found.low, high=found.high, sd=found.sd, note=note)


def changes_by_seed(changes: Mapping[CellLabels, SumChange]) -> dict[int, SumChange]:
    of_seeds: dict[int, list[SumChange]] = {}
    for cell, change in on_shared_sets(changes).items():
        of_seeds.setdefault(cell.seed, []).append(change)
    return {seed: of_seed[0] if len(of_seed) == 1 else mean_change(of_seed) for seed, of_seed in of_seeds.items()}


def on_shared_sets(changes: Mapping[CellLabels, SumChange]) -> dict[CellLabels, SumChange]:
    """Return a model's changes of several seeds that all are on the same training sets; a note says what is left out.

    Training sets that some seeds lack are left out, or seeds that lack training sets: the way that keeps most changes,
    and of such ways the one that keeps most seeds. Of one seed, or without a defined change, all stay.
    """
    by_seed: dict[int, set[str]] = {}
    for cell, change in changes.items():
        if not math.isnan(change.value):
            by_seed.setdefault(cell.seed, set()).add(cell.training_set)
    if len({cell.seed for cell in changes}) < FEWEST or not by_seed:
        return dict(changes)
    ways = [set.intersection(*by_seed.values()), *by_seed.values()]
    kept = max(ways, key=lambda sets: (len(sets) * len(_having(by_seed, sets)), len(_having(by_seed, sets))))
    seeds = _having(by_seed, kept)
    sets = ", ".join(sorted({cell.training_set for cell in changes if cell.seed in seeds} - kept))
    lost = sorted(by_seed.keys() - seeds)
    left_out = (
        f"without {sets}, of which not all seeds have a number" if sets else "",
        f"without seed{'s' * (len(lost) > 1)} {', '.join(map(str, lost))}, of other training sets" if lost else "",
    )
    return {
        cell: replace(change, note="; ".join(filter(None, (change.note, *left_out))))
        for cell, change in changes.items()
        if cell.seed in seeds and cell.training_set in kept
    }


def _having(by_seed: Mapping[int, set[str]], sets: set[str]) -> set[int]:
    return {seed for seed, of_seed in by_seed.items() if sets and sets <= of_seed}


def change_over_models(models: Sequence[Mapping[int, SumChange]]) -> SumChange:
    """Return the mean over models, each with its changes by seed; over problems and the seeds that all models have."""
    if seeds := [seed for seed in models[0] if all(seed in by_seed for by_seed in models)]:
        return change_over_seeds([mean_change([by_seed[seed] for by_seed in models]) for seed in seeds])
    mean = mean_change([change_over_seeds(list(by_seed.values())) for by_seed in models])
    note = "; ".join(filter(None, (mean.note, NO_COMMON_SEED)))
    return replace(mean, low=math.nan, high=math.nan, note=note)


def _mean(known: Sequence[SumChange], notes: Iterable[str]) -> SumChange:
    note = "; ".join(filter(None, dict.fromkeys(notes)))
    if not known:
        return SumChange(note=note)
    value, first, second = (
        sum(getattr(change, name) for change in known) / len(known) for name in ("value", "first", "second")
    )
    tasks = {name: of for change in known for name, of in change.tasks.items()}
    return SumChange(value, first=first, second=second, n=max(change.n for change in known), note=note, tasks=tasks)


def _are_paired(known: Sequence[SumChange]) -> bool:
    tasks = {name: of for change in known for name, of in change.tasks.items()}
    return all(tasks[name] == of for change in known for name, of in change.tasks.items())


def _resampled(known: Sequence[SumChange]) -> list[NDArray[np.float64]]:
    found = [change.resampled for change in known if change.resampled is not None]
    return found if len(found) == len(known) else []


def _columns(cells: Iterable[Mapping[str, PartRates]]) -> set[tuple[str, str]]:
    """Return the columns that some cells have: (problem set, part of its tests)."""
    return {(problem_set, part) for rates in cells for problem_set, parts in rates.items() for part in parts}


def _with_interval(change: SumChange, resampled: NDArray[np.float64]) -> SumChange:
    import numpy as np

    low, high = statistic_ends(resampled[:, None], np.asarray([change.value]))
    return replace(change, low=float(low[0]), high=float(high[0]), resampled=resampled)


def _corners(parts: Sequence[str]) -> list[tuple[float, ...]]:
    """Return the verdicts that a problem can have in the parts, for both cells; to pass the whole is to pass all."""
    of_cell = [
        verdicts
        for verdicts in product((1.0, 0.0), repeat=len(parts))
        if "" not in parts or not verdicts[parts.index("")] or all(verdicts)
    ]
    return [(*one, *other) for one, other in product(of_cell, repeat=2)]
