"""Finds the settings of a sweep's curves: the shares of perturbed training rows, and the sizes of training sets.

They come from the config's training sets, never from their names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from raysweep.analysis.tables.score_book import Order
from raysweep.records import CLEAN

T = TypeVar("T")
Along = Literal["ratio", "size"]
LACKING = {
    "ratio": "it trains on no set of which only a part is perturbed",
    "size": "it trains on no set with another number of rows than the source",
}
"""What a sweep without such a curve lacks."""


@dataclass(frozen=True)
class Setting:
    """One place of a curve.

    Attributes:
        value: the share of perturbed rows, or the number of rows as a multiple of the source's.
        training_sets: independent draws of it.
        other_ratio: share of perturbed rows where it isn't that of the curve's other sizes; None: it is.
    """

    value: float
    training_sets: tuple[str, ...]
    other_ratio: float | None = None


@dataclass(frozen=True)
class Curve:
    """Settings from the smallest. `ratio`: share of perturbed rows of a curve of sizes."""

    along: Along
    perturbation: str
    settings: tuple[Setting, ...]
    ratio: float = 1.0

    def label(self, setting: Setting) -> str:
        """Return a setting in words: ``10 %`` or ``×0.5``."""
        return f"{100 * setting.value:g} %" if self.along == "ratio" else f"×{setting.value:g}"


def curve_of(order: Order, along: Along) -> Curve | None:
    """Return the curve of a sweep's ratios or sizes; None if it has no set that is partly perturbed, or of other size.

    Of several perturbations (and of several ratios of a curve of sizes) it is the one with the most training sets.
    """
    return _ratios(order) if along == "ratio" else _sizes(order)


def _ratios(order: Order) -> Curve | None:
    of_size = {name: rows.ratio for name, rows in order.rows.items() if rows.size == 1}
    partly = [order.trained_with[name] for name, ratio in of_size.items() if 0 < ratio < 1]
    partly = [name for name in partly if name != CLEAN]
    if not partly:
        return None
    perturbation = _most(partly)
    shares = {
        name: 0.0 if order.trained_with[name] == CLEAN else ratio
        for name, ratio in of_size.items()
        if order.trained_with[name] in (CLEAN, perturbation)
    }
    return Curve("ratio", perturbation, _grouped(shares))


def _sizes(order: Order) -> Curve | None:
    other = [(order.trained_with[name], rows.ratio) for name, rows in order.rows.items() if rows.size != 1]
    if not other:
        return None
    perturbation, ratio = _most(other)
    of_kind = {name: rows for name, rows in order.rows.items() if order.trained_with[name] == perturbation}
    settings = _grouped({name: rows.size for name, rows in of_kind.items() if rows.ratio == ratio})
    at_one = {name: rows.ratio for name, rows in of_kind.items() if rows.size == 1}
    if at_one and all(setting.value != 1 for setting in settings):
        nearest = min(at_one.values(), key=lambda other: (round(abs(other - ratio), 9), other))
        sets = tuple(name for name, other in at_one.items() if other == nearest)
        settings = tuple(sorted((*settings, Setting(1.0, sets, nearest)), key=lambda setting: setting.value))
    return Curve("size", perturbation, settings, ratio)


def _grouped(values: dict[str, float]) -> tuple[Setting, ...]:
    return tuple(
        Setting(value, tuple(name for name, other in values.items() if other == value))
        for value in sorted(set(values.values()))
    )


def _most(values: Iterable[T]) -> T:
    return Counter(values).most_common(1)[0][0]
