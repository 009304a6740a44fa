"""Finds a sweep's training sets and test sets by the perturbations that a definition names.

A training set is found by the perturbation of its rows, never by its own name, and only if all of them are perturbed
and it has the source's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raysweep.analysis.tables.score_book import ScoreBook
from raysweep.records import BASE, CLEAN

HEADLINE = "headline"
"""The headline's perturbation, which in the study is mix_all."""
MIXES = "mixes"
"""The mixes of several methods that are trained on and judged on; in a sweep without any, all perturbations."""


WORDS = (HEADLINE, MIXES, BASE, CLEAN)
"""What may be named in the place of a perturbation."""


@dataclass(frozen=True)
class Selection:
    """The names that were found, in the definition's order, and the perturbations that the sweep lacks."""

    names: tuple[str, ...]
    lacking: tuple[str, ...]

    @property
    def perturbed(self) -> tuple[str, ...]:
        """The names but those of no perturbation."""
        return tuple(name for name in self.names if name not in (BASE, CLEAN))


def select_test_sets(book: ScoreBook, wanted: Sequence[str]) -> Selection:
    """Return the perturbations of test sets; `wanted`: perturbations, `HEADLINE` or `MIXES`."""
    found, lacking = [], []
    known = {CLEAN, *book.perturbations}
    for name in wanted:
        names = mixes(book)[1] if name == MIXES else [book.headline] if name == HEADLINE else [name]
        found += [one for one in names if one in known]
        lacking += [one or HEADLINE for one in names if one not in known]
    return Selection(tuple(dict.fromkeys(found)), tuple(lacking))


def select_training_sets(book: ScoreBook, wanted: Sequence[str]) -> Selection:
    """Return the names of training sets; `wanted`: perturbations, `BASE`, `HEADLINE` or `MIXES`."""
    found: list[str] = []
    lacking = []
    for name in wanted:
        if name == MIXES:
            found += mixes(book)[0]
            continue
        perturbation = book.headline if name == HEADLINE else name
        names = [one for one in whole_sets(book) if trained_with(book, one) == perturbation]
        found += names
        lacking += [] if names else [perturbation or HEADLINE]
    return Selection(tuple(dict.fromkeys(found)), tuple(lacking))


def mixes(book: ScoreBook) -> tuple[list[str], list[str]]:
    """Return the training sets and the test perturbations that `MIXES` stands for."""
    perturbed = [name for name in whole_sets(book) if trained_with(book, name) not in (BASE, CLEAN)]
    trained = [name for name in perturbed if trained_with(book, name) in book.order.mixes]
    tested = [name for name in book.perturbations if name in book.order.mixes]
    return (trained, tested) if trained and tested else (perturbed, list(book.perturbations))


def whole_sets(book: ScoreBook) -> list[str]:
    """Return the training sets whose rows are all perturbed, and those of no perturbation, at the source's size."""
    return [name for name in book.training_sets if name not in book.order.partial]


def trained_with(book: ScoreBook, training_set: str) -> str:
    """Return the perturbation of a training set's rows; that of the base model is called `BASE`."""
    return book.order.trained_with.get(training_set, training_set)
