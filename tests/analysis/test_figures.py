import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from raysweep.analysis.figures import draw, effect_figure
from raysweep.analysis.layout import Failure, ScoreBook
from tests.analysis.examples import ORDER, PASS, TRAINING_SETS, scores

SVG = "{http://www.w3.org/2000/svg}"
SHORT = replace(ORDER, training_sets=("base", "clean", "C"))


def panel(model: str) -> ElementTree.Element:
    book = ScoreBook.of(scores(), SHORT)
    line = next(line for line in book.lines if line.model == model)
    return ElementTree.fromstring(draw(book, [(line, "minicode")]))


def texts(svg: ElementTree.Element) -> list[str]:
    return ["".join(node.itertext()).strip() for node in svg.iter(f"{SVG}text")]


def markers(svg: ElementTree.Element, variable: str) -> list[float]:
    """The x of the markers in a colour, top to bottom, without the legend's, which is the topmost."""
    found = [use for use in svg.iter(f"{SVG}use") if f"var({variable}" in use.get("style", "")]
    places = sorted((float(use.get("y")), float(use.get("x"))) for use in found)
    return [x for _, x in places[1:]]


def test_equal_scores_give_equal_bytes_without_date_or_version():
    first = effect_figure(scores(), ORDER)
    assert first == effect_figure(scores(), ORDER)
    assert "matplotlib.org" not in first
    assert not re.search(r"20\d\d-\d\d-\d\d", first)


@pytest.mark.parametrize("model", ["llama", "gpt_bigcode"])
def test_a_point_s_place_is_its_pass_at_1(model: str):
    svg = panel(model)
    ticks = {"".join(node.itertext()).strip(): node.get("x") for node in svg.iter(f"{SVG}text")}
    left, right = float(ticks["0"]), float(ticks["100"])
    for variable, column in (("--rs-clean", 0), ("--rs-perturbed", 4)):
        shown = [100 * (x - left) / (right - left) for x in markers(svg, variable)]
        assert shown == pytest.approx([100 * PASS[model, name][column] for name in SHORT.training_sets], abs=0.1)


def test_every_row_has_its_training_set_and_its_rd():
    shown = texts(panel("llama"))
    for word in ("base", "clean", "C", "47 %", "42 %", "16 %", "llama", "pass@1 on minicode, %"):
        assert word in shown


def test_cells_without_results_say_why():
    shown = texts(ElementTree.fromstring(effect_figure(scores(), ORDER, [Failure("llama", "full", "C1", 42, "boom")])))
    assert shown.count("failed") == 1
    assert shown.count("missing") == 2 * (len(TRAINING_SETS) - 3) - 1


def test_colours_follow_the_page():
    svg = effect_figure(scores(), ORDER)
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"(fill|stroke): #(?!fff)", svg)


def test_a_dollar_sign_in_a_name_is_no_formula():
    named = [replace(s, model="a$b$") for s in scores() if s.model == "llama"]
    assert "a$b$" in texts(ElementTree.fromstring(effect_figure(named, replace(ORDER, models=()))))


def test_nothing_perturbed_gives_no_figure():
    clean = [s for s in scores() if s.perturbation == "clean"]
    assert effect_figure(clean, replace(ORDER, perturbations=("clean",))) == ""
