"""The figure of pylint's scores: marks at means, a stroke for each file, files without a score counted."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from raysweep.analysis.figures.lint_scores import quality_figure
from tests.analysis.linted import ORDER, linted_cells

CELLS = linted_cells()
SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def drawn(cells):
    return quality_figure(cells, ORDER, "scores", "", "figure-7")


def test_it_has_a_panel_for_each_problem_set_and_a_row_for_each_group_with_files():
    shown = texts(drawn(CELLS).render())
    rows = ["base", "clean", "C", "perturbed"]
    labels = [f"{model}, {row}" for model in ("all models", "small", "large") for row in rows]
    labels.remove("large, C")
    assert [text for text in shown if ", " in text and "of" not in text] == labels * 2
    assert {"humaneval", "mbpp"} <= set(shown)


def test_files_without_a_score_are_counted_beside_the_row():
    shown = texts(drawn([cell for cell in CELLS if cell.problem_set == "mbpp"]).render())
    bases = [cell.reports for cell in CELLS if (cell.problem_set, cell.training_set) == ("mbpp", "base")]
    without = sum(file.score is None for reports in bases for file in reports.files)
    assert f"{without} of 18" in shown


@pytest.mark.slow
def test_equal_reports_give_equal_bytes_and_nothing_linted_no_figure():
    assert drawn(CELLS).render() == drawn(list(CELLS)).render()
    assert drawn(CELLS).render("pdf").startswith(b"%PDF")
    assert drawn([]) is None
