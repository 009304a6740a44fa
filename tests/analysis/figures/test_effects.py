import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from xml.etree import ElementTree

import pytest

from raysweep.analysis.figures.effects import Effects, all_panels
from raysweep.analysis.tables.frame import Failure, ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.records import Score
from tests.analysis.examples import ORDER, PASS, TRAINING_SETS, scores

SVG = "{http://www.w3.org/2000/svg}"
SHORT = replace(ORDER, training_sets=("base", "clean", "C"))


def effect_figure(found: list[Score], order: Order, failures: Sequence[Failure] = ()) -> str:
    """The whole figure: one panel per model variant and problem set."""
    frame = ScoreFrame.of(found, order, failures)
    return Effects.of(frame, all_panels(frame)).render().decode()


@pytest.fixture(scope="module")
def whole() -> str:
    """The whole figure of all scores."""
    return effect_figure(scores(), ORDER)


@cache
def panel(model: str) -> ElementTree.Element:
    frame = ScoreFrame.of(scores(), SHORT)
    variant = next(variant for variant in frame.variants if variant.model == model)
    return ElementTree.fromstring(Effects.of(frame, [(variant, "minicode")]).render())


def texts(svg: ElementTree.Element) -> list[str]:
    return ["".join(node.itertext()).strip() for node in svg.iter(f"{SVG}text")]


def markers(svg: ElementTree.Element, variable: str) -> list[float]:
    """The x of the markers in a colour, top to bottom, without the legend's, which is the topmost."""
    uses = [use for use in svg.iter(f"{SVG}use") if f"var({variable}" in use.get("style", "")]
    positions = sorted((float(use.get("y")), float(use.get("x"))) for use in uses)
    return [x for _, x in positions[1:]]


@pytest.mark.slow
def test_equal_scores_give_equal_bytes_without_date_or_version_in_the_pages_colours(whole: str):
    assert whole == effect_figure(scores(), ORDER)
    assert "matplotlib.org" not in whole
    assert not re.search(r"20\d\d-\d\d-\d\d", whole)
    assert "prefers-color-scheme: dark" in whole
    assert not re.search(r"(fill|stroke): #(?!fff)", whole)


@pytest.mark.parametrize("model", ["llama", "gpt_bigcode"])
def test_a_point_s_place_is_its_pass_at_1(model: str):
    svg = panel(model)
    ticks = {"".join(node.itertext()).strip(): node.get("x") for node in svg.iter(f"{SVG}text")}
    left, right = float(ticks["0"]), float(ticks["100"])
    for variable, column in (("--rs-clean", 0), ("--rs-perturbed", 4)):
        shown = [100 * (x - left) / (right - left) for x in markers(svg, variable)]
        assert shown == pytest.approx([100 * PASS[model, name][column] for name in SHORT.training_sets], abs=0.1)


def test_a_recipe_that_makes_models_in_one_way_has_no_row_of_another():
    order = replace(SHORT, training_sets=("base", "edited", "rewritten"), ways={"edited": "", "rewritten": ""})
    found = [
        replace(score, recipe=recipe, training_set=name)
        for score in scores()
        if (score.model, score.training_set) == ("llama", "base")
        for recipe, name in (("none", "base"), ("creme", "edited"), ("denoised", "rewritten"))
    ]
    frame = ScoreFrame.of(found, order)
    for variant in frame.variants:
        shown = texts(ElementTree.fromstring(Effects.of(frame, [(variant, "minicode")]).render()))
        assert ("edited" in shown) == (variant.recipe == "creme")
        assert ("rewritten" in shown) == (variant.recipe == "denoised") and "not evaluated" not in shown


def test_every_row_has_its_training_set_and_its_rd():
    shown = texts(panel("llama"))
    for word in ("base", "clean", "typos (C)", "47 %", "42 %", "16 %", "llama", "pass@1 on minicode, % (240 problems)"):
        assert word in shown


def test_cells_without_results_say_why():
    shown = texts(ElementTree.fromstring(effect_figure(scores(), ORDER, [Failure("llama", "full", "C1", 42, "boom")])))
    assert shown.count("failed") == 1
    assert shown.count("missing") == 2 * (len(TRAINING_SETS) - 3) - 1


def test_a_dollar_sign_in_a_name_is_no_formula():
    named = [replace(s, model="a$b$") for s in scores() if s.model == "llama"]
    assert "a$b$" in texts(ElementTree.fromstring(effect_figure(named, replace(ORDER, models=()))))


def test_nothing_perturbed_gives_no_figure():
    clean = [s for s in scores() if s.perturbation == "clean"]
    assert all_panels(ScoreFrame.of(clean, replace(ORDER, perturbations=("clean",)))) == []


def test_all_perturbations_of_the_sweep_have_a_mark_with_its_words():
    shown = texts(panel("llama"))
    for label in (
        "clean prompts",
        "typos (C)",
        "changed case (C3)",
        "neighbouring keys (C1)",
        "swapped characters (C2)",
    ):
        assert label in shown
    legend = [text for text in shown if text == "clean prompts" or text.endswith(")")]
    columns = ["clean prompts", "swapped characters (C2)", "typos (C)"], ["neighbouring keys (C1)", "changed case (C3)"]
    assert legend[-5:] == [*columns[0], *columns[1]], "row by row in the order of tables"
    extra = [replace(s, perturbation=f"X{n}") for n in range(10) for s in scores() if s.perturbation == "C1"]
    tree = ElementTree.fromstring(effect_figure([*scores(), *extra], replace(SHORT, models=("llama",))))
    for of, marks in ((panel("llama"), 3), (tree, 13)):
        styles = [use.get("style", "") for use in of.iter(f"{SVG}use")]
        others = [style for style in styles if "fill-opacity: 0" in style or "var(--rs-muted" in style]
        assert len(others) >= marks * len(SHORT.training_sets)
    assert "each of the 13 other perturbations" in texts(tree)


def test_marks_at_0_and_100_percent_are_whole():
    ends = [replace(s, value=float(s.perturbation == "clean"), low=0.0, high=1.0) for s in scores()]
    tree = ElementTree.fromstring(effect_figure(ends, replace(SHORT, models=("llama",))))
    clipped = [group for group in tree.iter(f"{SVG}g") if group.get("clip-path")]
    assert not [use for group in clipped for use in group.iter(f"{SVG}use")]


def test_a_code_of_a_training_set_that_no_mark_explains_has_its_words():
    order = replace(
        SHORT, training_sets=("base", "W1"), training_words={"W1": "added synonyms"}, trained_with={"W1": "W1"}
    )
    named = [replace(s, training_set="W1") if s.training_set == "C" else s for s in scores()]
    assert "added synonyms (W1)" in texts(ElementTree.fromstring(effect_figure(named, order)))


def test_rows_have_codes_alone_where_words_would_leave_no_room_for_marks():
    words = {"C": "typos", "C1": "sixty percent of typos, two times the rows"}
    order = replace(ORDER, training_sets=("base", "clean", "C", "C1"), training_words=words)
    shown = texts(ElementTree.fromstring(effect_figure(scores(), order)))
    assert {"C", "C1"} <= set(shown) and not any("two times the rows" in text for text in shown)
    fewer = replace(order, training_sets=("base", "clean", "C"))
    assert "typos (C)" in texts(ElementTree.fromstring(effect_figure(scores(), fewer)))


def test_beside_long_labels_of_rows_the_legend_begins_at_the_panels_left():
    named = replace(ORDER, training_words={name: "words of the training set" for name in ORDER.training_sets})
    for order, is_left in ((SHORT, False), (named, True)):
        tree = ElementTree.fromstring(effect_figure(scores(), replace(order, models=("llama",))))
        at = {"".join(node.itertext()).strip(): float(node.get("x", "nan")) for node in tree.iter(f"{SVG}text")}
        assert (at["clean prompts"] < at["0"] - 30) == is_left
