"""Figures small enough for a table's cell or a line of text: the curve of a loss, what patching each block restored."""

from __future__ import annotations

import math
from collections.abc import Sequence

from raysweep.records import BlockAccuracy

_CURVE_WIDTH, _CURVE_HEIGHT = 120, 26  # px
_HEIGHT, _MOST_WIDTH, _BAR = 44, 340, 14  # px, of bars
_LOWEST, _HIGHEST = -1.0, 1.5
"""Beyond these, bars are cut."""


def loss_curve(points: Sequence[tuple[float, float]]) -> str:
    """Return a small SVG of a number by step, from 0 or the smallest; empty text for fewer than two finite points."""
    finite = [(step, loss) for step, loss in points if math.isfinite(loss)]
    if len(finite) < 2:
        return ""
    first, last = finite[0][0], finite[-1][0]
    bottom = min(0.0, *(loss for _, loss in finite))
    height = max(0.0, *(loss for _, loss in finite)) - bottom or 1.0
    inner_width, inner_height = _CURVE_WIDTH - 6, _CURVE_HEIGHT - 6
    of_width, of_height = inner_width / max(1, last - first), inner_height / height
    path = " ".join(
        f"{3 + of_width * (step - first):.1f},{3 + inner_height - of_height * (loss - bottom):.1f}"
        for step, loss in finite
    )
    end_x, end_y = path.split()[-1].split(",")
    return (
        f'<svg class="curve" viewBox="0 0 {_CURVE_WIDTH} {_CURVE_HEIGHT}" width="{_CURVE_WIDTH}" '
        f'height="{_CURVE_HEIGHT}" aria-hidden="true"><polyline points="{path}"/>'
        f'<circle cx="{end_x}" cy="{end_y}" r="2.5"/></svg>'
    )


def block_bars(rows: Sequence[BlockAccuracy], chosen: int | None = None) -> str:
    """Return a small SVG with a bar for each block, by its RI; empty text without a defined one.

    Bars below 0 hang from the line. A block whose RI isn't defined has none. The label for readers of the page's text
    has the numbers.

    `rows`: of a localization, in the order of the blocks. `chosen`: the block that was edited, whose bar stands out.
    """
    known = {row.block: min(max(row.restoration, _LOWEST), _HIGHEST) for row in rows if not math.isnan(row.restoration)}
    if not known:
        return ""
    blocks = [row.block for row in rows]
    width = min(_BAR, _MOST_WIDTH / len(blocks))
    low, high = min(0.0, *known.values()), max(1.0, *known.values())
    unit = (_HEIGHT - 4) / (high - low)
    line = 2 + unit * high
    bars: dict[bool, list[str]] = {False: [], True: []}
    for place, block in enumerate(blocks):
        if block in known:
            bar = f"M{width * place + 0.1 * width:.1f},{line:.1f}v{-unit * known[block]:.1f}h{0.8 * width:.1f}"
            bars[block == chosen].append(f"{bar}V{line:.1f}z")
    label = ", ".join(f"{block}: {100 * value:.0f} %" for block, value in known.items())
    paths = "".join(
        f'<path class="{name}" d="{"".join(bars[is_chosen])}"/>'
        for is_chosen, name in ((False, "others"), (True, "chosen"))
        if bars[is_chosen]
    )
    whole = width * len(blocks)
    return (
        f'<svg class="blocks" viewBox="0 0 {whole:.0f} {_HEIGHT}" width="{whole:.0f}" height="{_HEIGHT}" role="img" '
        f'aria-label="RI by block: {label}"><path class="line" d="M0,{line:.1f}H{whole:.0f}"/>{paths}</svg>'
    )
