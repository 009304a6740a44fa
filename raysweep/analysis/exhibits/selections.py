"""Finds a sweep's training sets and test sets by the perturbations that a definition names.

A training set is found by the perturbation of its rows, never by its own name, and only if all of them are perturbed
and it has the source's size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysweep.analysis.exhibits.base import Counted, Exhibit
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.records import BASE, CLEAN
from raysweep.units import count

HEADLINE = "headline"
"""The headline's perturbation, which in the study is mix_all."""
MIXES = "mixes"
"""The mixes of several methods that are trained on and judged on; in a sweep without any, all perturbations."""


EVERY = "all"
"""All training sets, also those of another size or a share of perturbed rows."""
PERTURBED = "perturbed"
"""All test sets but the clean one."""
LEVELS = "levels"
"""The levels of methods that a problem set was judged on as a whole; for tables of one problem set."""


WORDS = (HEADLINE, MIXES, BASE, CLEAN, EVERY, PERTURBED, LEVELS)
"""What may be named in the place of a perturbation."""


@dataclass(frozen=True)
class Selection:
    """The names that were found, in the definition's order, and the perturbations that the sweep lacks."""

    names: tuple[str, ...]
    lacking: tuple[str, ...]

    @property
    def perturbed(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in (BASE, CLEAN))


def select_test_sets(frame: ScoreFrame, wanted: Sequence[str], problem_set: str = "") -> Selection:
    """`wanted`: perturbations, `HEADLINE`, `MIXES`, `PERTURBED` or `LEVELS`, which means those of `problem_set`."""
    selected: list[str] = []
    lacking = []
    for word in wanted:
        if word in (PERTURBED, LEVELS):
            selected += frame.perturbations if word == PERTURBED else frame.levels(problem_set)
            continue
        names = mixes(frame)[1] if word == MIXES else [frame.headline] if word == HEADLINE else [word]
        selected += [name for name in names if name == CLEAN or name in frame.perturbations]
        lacking += [name or HEADLINE for name in names if name != CLEAN and name not in frame.perturbations]
    return Selection(tuple(dict.fromkeys(selected)), tuple(lacking))


def select_training_sets(frame: ScoreFrame, wanted: Sequence[str]) -> Selection:
    """Return the names of training sets; `wanted`: perturbations, `BASE`, `HEADLINE`, `MIXES` or `EVERY`."""
    selected: list[str] = []
    lacking = []
    for word in wanted:
        if word in (MIXES, EVERY):
            selected += mixes(frame)[0] if word == MIXES else frame.training_sets
            continue
        perturbation = frame.headline if word == HEADLINE else word
        names = [name for name in whole_sets(frame) if trained_with(frame, name) == perturbation]
        selected += names
        lacking += [] if names else [perturbation or HEADLINE]
    return Selection(tuple(dict.fromkeys(selected)), tuple(lacking))


def mixes(frame: ScoreFrame) -> tuple[list[str], list[str]]:
    """Return the training sets and the test perturbations that `MIXES` stands for."""
    perturbed = [name for name in whole_sets(frame) if trained_with(frame, name) not in (BASE, CLEAN)]
    trained = [name for name in perturbed if trained_with(frame, name) in frame.order.mixes]
    tested = [name for name in frame.perturbations if name in frame.order.mixes]
    return (trained, tested) if trained and tested else (perturbed, list(frame.perturbations))


def unasked(exhibit: Exhibit, frame: ScoreFrame) -> str:
    """Return why an exhibit's question can't be asked of a sweep, as a clause; empty if it can, or nothing is known."""
    recipes = Counter(model for model, _ in {(one.model, one.recipe) for one in frame.variants})
    numbers: Mapping[Counted, int] = {
        "model": len(frame.models),
        "recipe": max(recipes.values(), default=0),
        "mix": min(map(len, mixes(frame))),
        "perturbation": len(frame.perturbations),
    }
    lacking = [count(numbers[name], name) for name, least in exhibit.at_least.items() if numbers[name] < least]
    return f"it has {' and '.join(lacking).replace('mixs', 'mixes')}" if lacking and frame.models else ""


def whole_sets(frame: ScoreFrame) -> list[str]:
    """Return the training sets whose rows are all perturbed, and those of no perturbation, at the source's size.

    Models that were not fine-tuned, such as edited ones, have none.
    """
    return [name for name in frame.training_sets if name not in (*frame.order.partial, *frame.order.ways)]


def trained_with(frame: ScoreFrame, training_set: str) -> str:
    return frame.order.trained_with.get(training_set, training_set)
