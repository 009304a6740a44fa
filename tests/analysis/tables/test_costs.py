"""The table of costs: sums, shares, and hours that nobody recorded."""

from __future__ import annotations

import math

from raysweep.analysis.tables.costs import Cost, cost_table


def test_each_model_and_all_together_have_hours_and_shares():
    first = Cost("one", 3, 0.5, 0.07, 0.02, 0.1, 0.25, 1000, 400, 9000, 1000, 150)
    table = cost_table([first, Cost("two", 1, math.nan, math.nan, math.nan, 0.0, 0.0, 10, math.nan, 0, 0, 0)])
    shown = {row.labels[0]: [cell.text for cell in row.cells] for row in table.rows}
    assert shown == {
        "one": ["3", "0.5", "0.07", "0.02", "0.1", "0.25", "1,000", "40.0", "9,000", "1,000", "15.0"],
        "two": ["1", "–", "–", "–", "0", "0", "10", "–", "0", "0", ""],
        "all": ["4", "–", "–", "–", "0.1", "0.25", "1,010", "–", "9,000", "1,000", "15.0"],
    }
    assert [row.labels for row in cost_table([first]).rows] == [("one",)]
