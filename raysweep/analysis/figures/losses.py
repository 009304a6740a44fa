"""Draws the curve of a training's loss, or of another of its numbers, small enough for a table's cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

_CURVE_WIDTH, _CURVE_HEIGHT = 120, 26  # px


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
