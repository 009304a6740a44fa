"""Reads in which programming languages training rows are; their shares are numbers of the frame."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.quantities import ROWS_IN_LANGUAGE
from raysweep.records import BASE, CLEAN, Score
from raysweep.rows.parquet import ROWS, count_values
from raysweep.storage.artefacts import Unit
from raysweep.storage.uses import read_uses
from raysweep.sweep.folder import SweepFolder
from raysweep.units import count

TRAINING_SET = "training set "
"""What the label of a training set's artefact begins with, before its name."""
TAGS = {"cpp": ("c++", "cc", "cxx"), "python": ("py", "python3")}
"""Other names of languages in the tags of rows."""


def training_languages(folder: SweepFolder) -> dict[str, dict[str, int]]:
    """Return how many rows of each training set that the store has are in each programming language.

    A set that is the same rows as one of another name, such as those of a pre-training, is found by its models.
    """
    sets = {use.key: use for use in read_uses(folder.store, folder.name) or () if use.stage == "training_set"}
    keys = {
        use.label.removeprefix(TRAINING_SET): key for key, use in sets.items() if use.label.startswith(TRAINING_SET)
    }
    for row in folder.grid():
        if row.training_set not in (BASE, *keys) and row.weights is not None and folder.store.counts(row.weights):
            inputs = folder.store.manifest(row.weights, dropped=True)["inputs"]
            if of := [key for key in inputs if key in sets]:
                keys[row.training_set] = of[0]  # others check it
    artefacts = {name: Unit(sets[key].stage, key, sets[key].label) for name, key in keys.items()}
    return {
        name: count_values(folder.store.use(artefact) / ROWS, "language")
        for name, artefact in artefacts.items()
        if folder.store.has(artefact)
    }


def language_shares(scores: Sequence[Score], order: Order, languages: Mapping[str, Mapping[str, int]]) -> list[Score]:
    """Return a share for each model and problem set with pass@1, clean or the headline's; its `n` are training rows.

    `languages`: how many rows of each training set are in each programming language; "" where it isn't known.
    """
    tests = (CLEAN, ScoreFrame.of(scores, order).headline)
    solved = (
        one
        for one in scores
        if one.metric == "pass@1" and one.perturbation in tests and one.training_set not in order.ways
    )
    cells = dict.fromkeys((one.model, one.recipe, one.training_set, one.seed, one.problem_set) for one in solved)
    return [
        Score(*cell, CLEAN, ROWS_IN_LANGUAGE.metric, value, math.nan, math.nan, known, note)
        for cell in cells
        for value, known, note in [_share(languages.get(cell[2], {}), order.languages.get(cell[4], ""), cell[2])]
    ]


def _share(rows: Mapping[str, int], language: str, training_set: str) -> tuple[float, int, str]:
    """Return the share, the number of rows that it is of, and a note."""
    unknown = rows.get("", 0)
    known = sum(rows.values()) - unknown
    if not known:
        lacking = (
            f"no row says its language ({count(unknown, 'row')})" if unknown else "the store has no such training set"
        )
        return math.nan, 0, "not fine-tuned" if training_set == BASE else lacking
    tags = (language, *TAGS.get(language, ()))
    share = sum(number for name, number in rows.items() if name.strip().lower() in tags) / known
    note = f"of {unknown:,} of the {count(known + unknown, 'row')} the language is not known" if unknown else ""
    return share, known, note
