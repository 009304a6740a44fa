"""How the numbers of tables are written: in percent or points, signed or not, with their intervals and notes."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from raysweep.analysis.comparisons.estimate import Estimate
from raysweep.analysis.tables.frame import Number, ScoreFrame, ScoreKey
from raysweep.analysis.tables.table import TableCell
from raysweep.errors import UsageError
from raysweep.metrics.base import Measurement
from raysweep.metrics.restoration import RI
from raysweep.records import Difference, Score
from raysweep.units import count, decimal


@dataclass(frozen=True)
class Quantity:
    """A metric that is a share, and its format: times 100, in percent or, for differences, in points.

    `digits`: after the point. `over`: what the `n` of its numbers counts.
    """

    metric: str
    label: str
    unit: str = "%"
    signed: bool = False
    digits: int = 1
    over: str = "problem"

    @property
    def heading(self) -> str:
        return f"{self.label} ({self.unit})"

    def format(self, value: float) -> str:
        """Return a share as text: 0.123 gives ``12.3``, with `digits` after the point."""
        return decimal(100 * value, self.digits, "+" if self.signed else "")


PASS = Quantity("pass@1", "pass@1")
DROP = Quantity("drop", "difference", "points", signed=True)
RD = Quantity("RD", "RD")
ROWS_IN_LANGUAGE = Quantity("rows in language", "rows in language", over="training row")
"""The share of a training set's rows in the language of a problem set, of those whose language is known."""
OF_BLOCKS = Quantity(RI, RI, over="pair")


def over_part(quantity: Quantity, part: str) -> Quantity:
    """Return a quantity over a part of what was measured: ``changed`` or ``valid`` prompts, or all of a ``level``."""
    return replace(quantity, metric=f"{quantity.metric}_{part}")


def quantity_of(metric: str, digits: int = 1) -> Quantity:
    """Return how a metric is written; one without a label of its own has its name. UsageError for a count."""
    if metric.startswith("rows_"):
        raise UsageError(f"{metric} is a count of prompts, no share; tables and figures of files show shares")
    parts = [over_part(quantity, part) for quantity in (PASS, DROP) for part in ("changed", "level", "valid")]
    known = {quantity.metric: quantity for quantity in (PASS, DROP, RD, ROWS_IN_LANGUAGE, OF_BLOCKS, *parts)}
    return replace(known.get(metric, Quantity(metric, metric)), digits=digits)


def number_cell(number: Score | Difference | Measurement, quantity: Quantity) -> TableCell:
    """Return the cell of a number, which is a share: a dash with its reason if it is undefined."""
    if math.isnan(number.value):
        return TableCell.dash(number.note or f"{quantity.label} is undefined, no reason recorded")
    bounded = not (math.isnan(number.low) or math.isnan(number.high))
    sd, seeds = (number.sd, number.seeds) if isinstance(number, Number | Estimate) else (math.nan, 0)
    return TableCell.number(
        100 * number.value,
        quantity.format(number.value),
        number.note,
        interval=f"[{quantity.format(number.low)}, {quantity.format(number.high)}]" if bounded else "",
        low=100 * number.low,
        high=100 * number.high,
        n=number.n,
        n_of=quantity.over,
        sd=sd if math.isnan(sd) else 100 * sd,
        spread="" if math.isnan(sd) else f"SD {replace(quantity, signed=False).format(sd)}",
        seeds=seeds,
    )


def share_cell(share: float, quantity: Quantity = PASS, note: str = "") -> TableCell:
    """Return the cell of a share without an interval; an empty one for NaN."""
    return TableCell() if math.isnan(share) else TableCell.number(100 * share, quantity.format(share), note)


def score_cell(frame: ScoreFrame, key: ScoreKey, quantity: Quantity) -> TableCell:
    score = frame.score(key, quantity.metric)
    if score is not None:
        return number_cell(score, quantity)
    if frame.failure(key) is not None:
        return TableCell("failed", state="failed")
    return TableCell("missing", state="missing") if frame.is_asked(key) and frame.is_missing(key) else TableCell()


def draws_sentence(frame: ScoreFrame) -> str:
    return f"Perturbed numbers are means over {text}." if (text := frame.order.draws_text) else ""


def problems_text(sizes: Collection[int]) -> str:
    """Return ``240 problems``, or ``238 to 240 problems`` where numbers rest on different ones."""
    least, most = min(sizes), max(sizes)
    return f"{least:,} to {count(most, 'problem')}" if least < most else count(most, "problem")


def p_text(p: float) -> str:
    """Return a p value with three significant digits: ``0.0391``, and ``1.97e-21`` where it is below 0.0001."""
    return f"{p:.2e}" if 0 < p < 1e-4 else f"{p:.3g}"


def p_cell(p: float, note: str) -> TableCell:
    return TableCell.dash(note) if math.isnan(p) else TableCell.number(p, p_text(p))
