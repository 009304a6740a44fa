"""Says where differences of several seeds are within the noise between these: their mean is below 2 SD."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from raysweep.records import Difference
from raysweep.stats.stability import FEWEST_DRAWS, noise

BELOW_SEEDS = "within noise: the mean over seeds is below 2 SD between them"


def seeds_note(values: Iterable[float]) -> str:
    """Return `BELOW_SEEDS` where it holds; empty where it doesn't, and for one seed, which tells nothing of noise.

    `values`: one difference for each seed; those that are NaN don't count.
    """
    known = [value for value in values if not math.isnan(value)]
    if len(known) < FEWEST_DRAWS:
        return ""
    return BELOW_SEEDS if noise(sum(known) / len(known), known).within_noise else ""


def with_seeds_notes(differences: Sequence[Difference]) -> list[Difference]:
    """Return differences in their order, each of several seeds with what the spread between these says of it.

    Only numbers with an interval are effects: counts of problems and p values are left as they are.
    """
    by_seed: dict[Difference, list[float]] = {}
    for difference in differences:
        if not math.isnan(difference.low):
            by_seed.setdefault(_without_seed(difference), []).append(difference.value)
    notes = {key: note for key, values in by_seed.items() if (note := seeds_note(values))}
    return [
        _noted(difference, notes.get(_without_seed(difference), "")) if not math.isnan(difference.low) else difference
        for difference in differences
    ]


def _without_seed(difference: Difference) -> Difference:
    return replace(difference, seed=0, value=0, low=0, high=0, n=0, note="")


def _noted(difference: Difference, note: str) -> Difference:
    return replace(difference, note="; ".join(filter(None, (difference.note, note)))) if note else difference
