"""The frame: its columns are those of its page, and the page's example of a table reads them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

from raysweep.analysis.sections.base import Section
from raysweep.analysis.tables.frame import COLUMNS, KEY, ScoreFrame
from raysweep.records import Difference
from tests.analysis.examples import ORDER, report, scores

PAGE = Path(__file__).parents[3] / "docs" / "frame.md"


def test_its_page_names_all_columns_in_their_order():
    named = [name for line in PAGE.read_text().splitlines() if line.startswith("| `") for name in line.split("|")[1:2]]
    assert tuple(re.findall(r"`(\w+)`", " ".join(named))) == COLUMNS


def test_it_has_scores_and_differences_and_the_last_of_equal_keys():
    first = scores()[0]
    labels = (first.model, "full", "C", 42, "clean", first.problem_set, "C3", "pass@1_difference")
    changed = replace(first, value=0.25)
    frame = ScoreFrame.of([*scores(), changed], ORDER, (), [Difference(*labels, 0.1, 0.0, 0.2, 240)])
    numbers = frame.numbers
    assert list(numbers.columns) == list(COLUMNS) and len(numbers) == len(scores()) + 1
    assert not numbers.duplicated(list(KEY)).any()
    assert numbers["value"][0] == 0.25 and list(numbers["against"])[-1] == "clean"
    assert "pass@1_difference" not in frame.metrics("minicode")


def test_the_section_of_its_page_is_a_table_in_one_file():
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, type[Section]] = {}
    exec(code, names)
    shown = replace(report(), scores=[replace(scores()[0], value=math.nan), *scores()[1:]])
    content = names["UndefinedNumbers"]().draw(shown)
    assert content is not None
    metric = scores()[0].metric
    before = names["UndefinedNumbers"]().draw(replace(report(), scores=scores()))
    counts = {row.labels[0]: row.cells[0].value for row in content.tables[0].rows}
    others = {row.labels[0]: row.cells[0].value for row in before.tables[0].rows} if before else {}
    assert counts[metric] == others.get(metric, 0) + 1
