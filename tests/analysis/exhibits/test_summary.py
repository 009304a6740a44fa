"""The choice of a model, the trade-off between clean pass@1 and RD, and the heat map."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from statistics import stdev

import numpy as np
import pytest
from scipy.stats import binom, friedmanchisquare

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.comparisons.pass_rates import DIFFERENCE, PassRates
from raysweep.analysis.exhibits.advice import COST, NEXT, SURE, share_text
from raysweep.analysis.exhibits.base import Conclusion, Evidence, NothingToDraw
from raysweep.analysis.exhibits.selections import unasked
from raysweep.analysis.figures.scatter import OTHER_MARK, Dot, front_of
from raysweep.analysis.tables.edited import EDITED, WAY
from raysweep.analysis.tables.over_seeds import measurements_over_seeds
from raysweep.analysis.tables.score_book import ScoreBook
from raysweep.analysis.tables.table import by_file_name
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.metrics.base import CellLabels
from raysweep.stats import pairs_needed, problems_needed
from raysweep.stats.intervals import mean_interval
from tests.analysis.exhibits.examples import (
    CURVES,
    EXHIBITS,
    PASSED,
    STUDY,
    cells,
    curve_evidence,
    printed_scores,
    score,
    study,
    tables,
)


def passing(number: int, of: int = 20) -> dict[str, float]:
    return {f"t{t:02}": float(t < number) for t in range(of)}


def said(conclusion: Conclusion) -> dict[str, str]:
    return {point.question: point.text for point in conclusion.points}


def test_the_choice_passes_most_perturbed_prompts_and_says_what_it_costs_on_clean_ones():
    (found,) = EXHIBITS["choice"].draw(curve_evidence(["one"])).conclusions
    assert found.text == (
        "On humaneval under typos of three kinds (typos), one fine-tuned on half scores highest: 65.0 % of its "
        "programs pass all tests, against 30.0 % fine-tuned on clean prompts. one fine-tuned on twice, with 60.0 %, is "
        "too close to tell apart."
    )
    assert said(found) == {
        SURE: "20 problems don't settle which is best: one fine-tuned on half is the best of 9 models in 67 % of "
        "bootstrap resamples, one fine-tuned on twice in 20 %, one fine-tuned on most in 7 %, one fine-tuned on typos "
        "in 2 %, where 95 % would settle it.",
        COST: "On clean prompts 60.0 % of its programs pass; the best there is one fine-tuned on some-c with 65.0 %.",
        NEXT: "Judge the best ones on more problems (about 160 would tell the best two apart), or take the one of them "
        "that costs least.",
    }
    rows = cells(found.table)
    assert next(iter(rows)) == ("one", "half") and len(rows) == 9
    assert (rows["one", "typos"]["pass@1 (%)"], rows["one", "typos"]["RD (%)"]) == ("50.0", "−11.1")


def test_a_choice_that_the_problems_do_not_settle_names_its_rivals():
    test = ("humaneval", "typos")
    rates = {
        CellLabels("one", "full", name, 42): {test: ProblemRates(passed, {}, 1, 1)}
        for name, passed in {
            "half": passing(11),
            "most": {f"t{t:02}": float(t >= 10) for t in range(20)},
            "clean": passing(1),
        }.items()
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"]).book, rates)).conclusions
    share = {labels[1]: float(row["best in (% of resamples)"]) for labels, row in cells(found.table).items()}
    assert 50 < share["half"] < 90 and share["half"] + share["most"] == pytest.approx(100, abs=0.2)
    assert said(found)[SURE] == (
        "20 problems don't settle which is best: one fine-tuned on half is the best of 3 models in "
        f"{share['half']:.0f} % of bootstrap resamples, one fine-tuned on most in {share['most']:.0f} %, where 95 % "
        "would settle it."
    )


def test_a_clear_choice_is_said_to_be_clear_and_seeds_are_averaged():
    evidence = curve_evidence(["one"])
    test = ("humaneval", "typos")
    rates = {
        CellLabels("one", "full", name, seed): {test: ProblemRates(passing(number), {}, 1, 1)}
        for name, numbers in {"clean": (2, 4), "half": (18, 20)}.items()
        for seed, number in enumerate(numbers)
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(evidence.book, rates)).conclusions
    assert found.text.endswith(
        "is best: 95.0 % (SD 7.1 over 2 seeds) of its programs pass all tests, against 15.0 % fine-tuned on clean "
        "prompts."
    )
    assert said(found)[SURE] == "It is the best of 2 models in 100 % of bootstrap resamples of 20 problems and 2 seeds."
    assert [row["pass@1 (%)"] for row in cells(found.table).values()] == ["95.0", "15.0"]


@pytest.mark.parametrize(
    ("baseline", "gains", "words"),
    [("clean", (6, 0, 8), "within noise"), ("clean", (6, 7, 8), "beyond noise"), ("base", (6, 0, 8), "within noise")],
)
def test_the_choices_lead_is_held_against_the_spread_between_seeds(baseline, gains, words):
    test = ("humaneval", "typos")
    rates = {
        CellLabels("one", "full", name, seed): {test: ProblemRates(passing(8 + gain * (name == "half")), {}, 1, 1)}
        for seed, gain in enumerate(gains)
        for name in ("half", baseline)
        if name != "base" or not seed
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"]).book, rates)).conclusions
    second = "one fine-tuned on clean prompts" if baseline == "clean" else "one without fine-tuning"
    lead, leads = 5 * sum(gains) / 3, "{:.1f}, {:.1f} and {:.1f}".format(*(5 * gain for gain in gains))
    first = [ProblemRates(passing(8), {}, 1, 1)] * 3
    halves = [ProblemRates(passing(8 + gain), {}, 1, 1) for gain in gains]
    numbers = [{one.metric: one for one in PassRates().measure(*pair)} for pair in zip(first, halves, strict=True)]
    ends = measurements_over_seeds(numbers, halves, first, 3)[DIFFERENCE]
    low, high = (f"{100 * end:.1f}".replace("-", "−") for end in (ends.low, ends.high))
    assert said(found)[SURE].endswith(
        f" Its lead of {lead:.1f} points over {second} (95 % interval {low} to {high}) is {words}: in the 3 seeds it "
        f"is {leads}."
    )


def test_of_many_seeds_the_lead_has_its_sd_and_not_each_number():
    test, gains = ("humaneval", "typos"), (6, 7, 8, 6, 7, 8)
    rates = {
        CellLabels("one", "full", name, seed): {test: ProblemRates(passing(8 + gain * (name == "half")), {}, 1, 1)}
        for seed, gain in enumerate(gains)
        for name in ("half", "clean")
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"]).book, rates)).conclusions
    sd = 5 * stdev(gains)
    assert said(found)[SURE].endswith(f"is beyond noise: with an SD of {sd:.1f} points between 6 seeds.")


def test_a_share_below_the_coverage_is_not_rounded_up_to_it():
    assert [share_text(share) for share in (0.944, 0.948, 0.9499, 0.95, 0.998, 1.0)] == [
        *("94 %", "94.8 %", "94.9 %", "95 %", "100 %", "100 %"),
    ]


def test_a_lead_that_is_none_on_the_seeds_of_both_is_not_said():
    test = ("humaneval", "typos")
    passed = {("half", 0): 8, ("half", 1): 9, ("half", 2): 20, ("clean", 0): 10, ("clean", 1): 12}
    rates = {
        CellLabels("one", "full", name, seed): {test: ProblemRates(passing(number), {}, 1, 1)}
        for (name, seed), number in passed.items()
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"]).book, rates)).conclusions
    assert "one fine-tuned on half scores highest" in found.text and "Its lead" not in said(found)[SURE]


def test_models_that_tie_are_all_said_to_be_the_best():
    test = ("humaneval", "typos")
    rates = {
        CellLabels("one", "full", name, 42): {test: ProblemRates(passing(passed), {}, 1, 1)}
        for name, passed in {"clean": 3, "half": 5, "some-a": 5, "some-b": 5, "some-c": 5}.items()
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"]).book, rates)).conclusions
    assert found.text == (
        "On humaneval under typos of three kinds (typos), 4 of 5 models tie with 25.0 % of their programs passing all "
        "tests: one fine-tuned on half, one fine-tuned on some-a, one fine-tuned on some-b and 1 more."
    )
    assert said(found)[SURE] == "20 problems don't tell them apart."
    assert said(found)[NEXT] == "Judge the best ones on more problems, or take the one of them that costs least."


def test_a_sweep_of_one_model_says_how_sure_what_it_costs_and_what_next():
    base = CellLabels("one", "none", "base", 42)
    rates = {("humaneval", "typos"): passing(8), ("humaneval", "clean"): passing(12)}
    by_test = {test: ProblemRates(passed, {}, 1, 1) for test, passed in rates.items()}
    drawn = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"]).book, {base: by_test}))
    (unfinished,) = drawn.conclusions
    assert said(unfinished)[NEXT].startswith("Finish the sweep: its other models have no numbers here yet")
    scores = [
        score("one", "base", test, "pass@1", sum(rates["humaneval", test].values()) / 20, n=20)
        for test in ("clean", "typos")
    ]
    book = ScoreBook.of(scores, replace(CURVES, models=("one",), training_sets=("base",)))
    (found,) = EXHIBITS["choice"].draw(Evidence(book, {base: by_test})).conclusions
    interval = mean_interval([1.0] * 8 + [0.0] * 12)
    low, high = f"{100 * interval.low:.1f}", f"{100 * interval.high:.1f}"
    assert found.table is None and not drawn.tables
    assert found.text == (
        "On humaneval under typos of three kinds (typos), 40.0 % of the programs of one without fine-tuning pass all "
        "tests."
    )
    assert said(found) == {
        SURE: f"The 95 % interval over 20 problems is {low} to {high} %. Four times as many problems halve it.",
        COST: "On clean prompts 60.0 % of its programs pass, 20.0 points more than under typos of three kinds (typos).",
        NEXT: "Fine-tune it on prompts like these (`training.sets: [clean, typos]`), or add a second model: a choice "
        "needs two.",
    }


@pytest.mark.parametrize("models", [("one",), ("one", "two")])
def test_a_finished_sweep_of_edits_is_not_asked_to_go_on_and_has_no_word_of_fine_tuning(models):
    by_test = {("humaneval", test): ProblemRates(passing(8), {}, 1, 1) for test in ("typos", "clean")}
    made = [(model, name) for model in models for name in ("base", EDITED)]
    order = replace(CURVES, models=models, training_sets=("base", EDITED), ways={EDITED: WAY})
    book = ScoreBook.of([score(*one, test, "pass@1", 0.4, n=20) for one in made for test in ("clean", "typos")], order)
    rates = {CellLabels(model, "none", "base", 42): by_test for model in models}
    rates[CellLabels("one", "none", "base", 42)] = {test: ProblemRates(passing(12), {}, 1, 1) for test in by_test}
    (found,) = EXHIBITS["choice"].draw(Evidence(book, rates)).conclusions
    assert "fine-tun" not in f"{found.text} {said(found)}".lower() and "Finish" not in said(found)[NEXT]
    if len(models) == 1:
        assert (
            said(found)[NEXT]
            == "Read under Repairing one layer what edits restore. To choose a model, add a second one."
        )


def test_a_sweep_without_perturbations_chooses_on_clean_prompts_and_shows_their_pass_at_1_once():
    scores = [score("one", name, "clean", "pass@1", 0.5, n=20) for name in ("clean", "half")]
    clean = ScoreBook.of(scores, replace(CURVES, perturbations=("clean",), headline=""))
    test = ("humaneval", "clean")
    rates = {
        CellLabels("one", "full", name, 42): {test: ProblemRates(passing(number), {}, 1, 1)}
        for name, number in {"clean": 4, "half": 18}.items()
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(clean, rates)).conclusions
    assert found.text == (
        "On clean prompts of humaneval, one fine-tuned on half is best: 90.0 % of its programs pass all tests, against "
        "20.0 % fine-tuned on clean prompts."
    )
    assert COST not in said(found)
    assert found.table is not None and [column.name for column in found.table.columns] == [
        "pass@1 (%)",
        "best in (% of resamples)",
    ]
    assert "perturbation" in unasked(EXHIBITS["summary"], clean)


def test_models_are_compared_on_the_problems_that_all_have():
    evidence = curve_evidence(["one"])
    test = ("humaneval", "typos")
    rates = {
        CellLabels("one", "full", "clean", 42): {test: ProblemRates(passing(3, 5), {}, 1, 1)},
        CellLabels("one", "full", "half", 42): {test: ProblemRates(passing(10), {}, 1, 1)},
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(evidence.book, rates)).conclusions
    assert cells(found.table)["one", "half"]["pass@1 (%)"] == "100.0" and "5 problems" in said(found)[SURE]


def test_the_choice_stands_beside_its_base_model_and_says_what_its_training_took():
    test, order = ("humaneval", "typos"), curve_evidence(["one"]).book.order
    rates = {
        CellLabels("one", recipe, name, 42): {test: ProblemRates(passing(number), {}, 1, 1)}
        for recipe, name, number in (("none", "base", 4), ("full", "half", 19))
    }
    trained = ReportedTraining("one", "half", "full", 42, 9, 0, {}, 9, (), 0.1, seconds=90)
    (found,) = EXHIBITS["choice"].draw(Evidence(ScoreBook.of([], order), rates, [trained])).conclusions
    assert found.text == (
        "On humaneval under typos of three kinds (typos), one fine-tuned on half is best: 95.0 % of its programs pass "
        "all tests, against 20.0 % without fine-tuning."
    )
    assert said(found)[COST] == "Fine-tuning took 1 min 30 s."
    gain = PassRates().measure(*(ProblemRates(passing(number), {}, 1, 1) for number in (4, 19)))[0]
    assert said(found)[SURE] == (
        f"It passes 75.0 points more than without fine-tuning (95 % interval {100 * gain.low:.1f} to "
        f"{100 * gain.high:.1f}, over problems only). It is the best of 2 models in 100 % of bootstrap resamples of "
        "20 problems."
    )
    assert said(found)[NEXT].startswith("Train it with several seeds (`seeds: [1, 2, 3]`)")


@pytest.mark.parametrize("id", ["choice", "trade-off", "heat-map", "friedman", "power"])
def test_a_sweep_without_numbers_says_what_it_lacks(id):
    with pytest.raises(NothingToDraw, match="needs"):
        EXHIBITS[id].draw(study([]))


def test_the_front_holds_the_models_that_no_other_beats_in_both():
    dots = [Dot(x, y, f"{x}", OTHER_MARK) for x, y in ((1, 1), (2, 2), (3, 1.5), (3, 4), (0, 0.5), (3, 1.5))]
    assert [(dot.x, dot.y) for dot in front_of(dots)] == [(0, 0.5), (1, 1), (3, 1.5), (3, 1.5)]


def test_the_printed_numbers_have_their_trade_off_as_figure_and_table():
    drawn = EXHIBITS["trade-off"].draw(study())
    (figure,), (table,) = drawn.figures, drawn.tables
    assert len(figure.dots) == 21 and figure.label == table.label == "trade-off-humaneval"
    front = cells(table)
    values = [(float(row["clean pass@1 (%)"]), abs(float(row["RD (%)"].replace("−", "-")))) for row in front.values()]
    assert values == sorted(values, reverse=True) and len(values) > 1
    assert all(any(math.isclose(dot.x, x, abs_tol=0.06) for dot in figure.dots) for x, _ in values)
    svg, pdf = figure.render("svg"), figure.render("pdf")
    assert figure.caption.startswith("Right and down is better.") and "below 0" in figure.caption
    assert b"size of RD on mix_all" in svg and pdf.startswith(b"%PDF") and figure.render("pdf") == pdf


def test_the_heat_map_has_a_panel_for_each_model_and_a_number_for_each_score():
    drawn = EXHIBITS["heat-map"].draw(curve_evidence())
    (figure,) = drawn.figures
    assert [panel.title for panel in figure.panels] == ["one", "two"] and figure.columns == ("clean", "typos")
    panel = dict(zip(figure.panels[0].rows, figure.panels[0].values, strict=True))
    assert panel["most"] == pytest.approx((50, 55)) and "base" not in panel
    svg = figure.render().decode()
    assert svg.count(">55.0</text>") == 4 and tables("heat-map", curve_evidence()) == []


def test_friedmans_test_names_the_hardest_method_of_a_level():
    rates = {("humaneval", name): ProblemRates(passing(n), {}, 1, 1) for name, n in (("C1", 15), ("C2", 4), ("C3", 14))}
    rates |= {("humaneval", name): ProblemRates(passing(9), {}, 1, 1) for name in ("S1", "S2", "S3")}
    book = study().book
    evidence = Evidence(book, {CellLabels("codegen-2b", "none", "base", 42): rates})
    (table,) = EXHIBITS["friedman"].draw(evidence).tables
    shown = cells(table)
    assert list(shown) == [("codegen-2b", "base", "C"), ("codegen-2b", "base", "S")]
    reference = friedmanchisquare(*([float(t < n) for t in range(20)] for n in (15, 4, 14)))
    row = table.rows[0]
    assert (row.cells[2].value, row.cells[3].value) == pytest.approx(tuple(reference))
    assert (row.cells[-1].text, table.rows[1].cells[-1].text) == ("C2", "none")
    assert table.rows[1].cells[3].value == 1.0


def test_the_shares_of_the_choice_are_those_of_a_plain_bootstrap():
    """Dirichlet weights of the problems, and two problems more, of which each model passes half by coins of its own."""
    (found,) = EXHIBITS["choice"].draw(curve_evidence(["one"])).conclusions
    values = np.array([[float(t < passed) for t in range(20)] for _, passed in PASSED.values()])
    rng, draws, coins = np.random.default_rng(11), 20_000, 64
    weights = rng.dirichlet([1.0] * 20 + [4 / coins] * coins, draws)
    tossed = [(weights[:, 20:] * rng.integers(2, size=(draws, coins))).sum(axis=1) for _ in values]
    scores = values @ weights[:, :20].T + np.array(tossed)
    shares = dict(zip(PASSED, (scores == scores.max(axis=0)).mean(axis=1), strict=True))
    for (_, training_set), row in cells(found.table).items():
        assert float(row["best in (% of resamples)"]) == pytest.approx(100 * shares[training_set], abs=3)


def power_of_mcnemar(problems: int, difference: float, apart: float) -> float:
    """The chance that the exact test at .05 finds a difference, summed over how many problems tell two models apart."""
    found, share = 0.0, (apart + difference) / 2 / apart
    for tell in range(1, problems + 1):
        chance = binom.pmf(tell, problems, apart)
        if chance > 1e-13:
            most = next(count for count in range(tell + 1) if 2 * binom.cdf(count, tell, 0.5) > 0.05) - 1
            found += chance * (binom.cdf(most, tell, share) + binom.cdf(most, tell, 1 - share))
    return float(found)


def test_power_holds_against_a_plain_sum():
    test = ("humaneval", "typos")
    better = {f"t{t:03}": float(t % 5 != 0) for t in range(200)}
    rates = {
        CellLabels("one", "full", name, 42): {test: ProblemRates(passed, {}, 1, 1)}
        for name, passed in {
            "clean": {task: float(t % 3 != 0) for t, task in enumerate(better)},
            "typos": better,
        }.items()
    }
    asked = EXHIBITS["power"].model_copy(update={"difference": 20})
    (table,) = asked.draw(Evidence(curve_evidence().book, rates)).tables
    problems, apart, shown, needed = (cell.value for cell in table.rows[0].cells)
    assert apart == pytest.approx(100 * sum((t % 5 != 0) != (t % 3 != 0) for t in range(200)) / 200)
    assert problems == 200 and power_of_mcnemar(200, shown / 100, apart / 100) == pytest.approx(0.8, abs=1e-6)
    enough, fewer = (power_of_mcnemar(int(needed) - less, 0.2, apart / 100) for less in (0, 1))
    assert enough >= 0.8 > fewer


def test_power_says_what_the_problems_can_show():
    test = ("humaneval", "typos")
    half = {f"t{t:02}": float(t % 2 == 0 or t < 3) for t in range(20)}
    rates = {
        CellLabels("one", "full", "clean", 42): {test: ProblemRates(passing(10), {}, 1, 1)},
        CellLabels("one", "full", "typos", 42): {test: ProblemRates(half, {}, 1, 1)},
        CellLabels("two", "full", "clean", 42): {test: ProblemRates(passing(10), {}, 1, 1)},
        CellLabels("two", "full", "typos", 42): {test: ProblemRates(passing(10), {}, 1, 1)},
    }
    (table,) = EXHIBITS["power"].draw(Evidence(curve_evidence().book, rates)).tables
    first, second = table.rows
    apart = sum(half[task] != value for task, value in passing(10).items()) / 20
    assert first.labels == ("one", "typos") and first.cells[1].value == pytest.approx(100 * apart)
    assert first.cells[3].value == problems_needed(0.05, apart).n
    assert [cell.text for cell in second.cells] == ["20", "0.0", "–", "–"]
    assert "How many seeds would show 5 points, only a sweep with several seeds tells." in table.caption
    asked = EXHIBITS["power"].model_copy(update={"difference": 1e-4})
    tiny = asked.draw(Evidence(curve_evidence().book, rates)).tables[0]
    assert tiny.rows[0].cells[3].text == "–" and "plan for a larger one" in tiny.rows[0].cells[3].note


def test_power_says_how_many_seeds_show_a_difference_where_the_sweep_has_several():
    test, gains = ("humaneval", "typos"), {"one": (1, 3, 2), "two": (2, 2, 2)}  # of 20 problems
    rates, scores = {}, []
    for model, by_seed in gains.items():
        for seed, gain in enumerate(by_seed):
            for name, passed in (("clean", 10), ("typos", 10 + gain)):
                rates[CellLabels(model, "full", name, seed)] = {test: ProblemRates(passing(passed), {}, 1, 1)}
                scores.append(score(model, name, "typos", "pass@1", passed / 20, seed=seed))
    (table,) = EXHIBITS["power"].draw(Evidence(ScoreBook.of(scores, CURVES), rates)).tables
    shown = cells(table)
    needed = pairs_needed(5, 5).n  # 5, 15 and 10 points have a standard deviation of 5
    for seed in range(3):
        assert shown[f"one · seed {seed}", "typos"]["seeds for 5 points"] == str(needed)
        assert shown[f"two · seed {seed}", "typos"]["seeds for 5 points"] == "–"
    assert "SD of the difference between 3 seeds: 5 points" in table.footnotes
    assert "3 seeds gave the same difference" in table.footnotes
    assert "with the paired t test" in table.caption


def test_differences_of_seeds_that_are_equal_but_for_rounding_are_no_spread():
    test, rates, scores = ("humaneval", "typos"), {}, []
    for seed in range(2):
        for name, shift in (("clean", 0.0), ("typos", 1.0)):
            passed = {f"t{t:02}": (0.1 * ((t * (seed + 1)) % 7) + shift * 0.1 * (t < 3)) / 3 for t in range(20)}
            rates[CellLabels("one", "full", name, seed)] = {test: ProblemRates(passed, {}, 30, 1)}
            scores.append(score("one", name, "typos", "pass@1", 0.5, seed=seed))
    (table,) = EXHIBITS["power"].draw(Evidence(ScoreBook.of(scores, CURVES), rates)).tables
    assert {row["seeds for 5 points"] for row in cells(table).values()} == {"–"}
    assert "2 seeds gave the same difference" in table.footnotes


def test_figures_of_equal_names_have_files_of_their_own():
    scores = [replace(one, problem_set=name) for one in printed_scores() for name in ("p p", "p-p")]
    book = ScoreBook.of(scores, replace(STUDY, problem_sets=("p p", "p-p")))
    figures = by_file_name(EXHIBITS["trade-off"].draw(Evidence(book)).figures)
    assert list(figures) == ["trade-off-p-p", "trade-off-p-p-2"]
    assert [figure.label for figure in figures.values()] == ["trade-off-p p", "trade-off-p-p"]


def test_seeds_that_the_best_one_lacks_are_counted_and_asked_for():
    test = ("humaneval", "typos")
    passed = {("half", 0): 18, ("half", 1): 20, ("clean", 0): 2, ("clean", 1): 3, ("clean", 2): 4}
    rates = {
        CellLabels("one", "full", name, seed): {test: ProblemRates(passing(number), {}, 1, 1)}
        for (name, seed), number in passed.items()
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"]).book, rates)).conclusions
    assert "95.0 % (SD 7.1 over 2 of 3 seeds)" in found.text
    assert said(found)[NEXT] == "Run the sweep again: 1 of 3 seeds of the best one is missing."
    assert found.table.rows[0].cells[0].note == "mean over 2 of 3 seeds"
    alone = {labels: of for labels, of in rates.items() if labels.seed == 0}
    (found,) = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"], seeds=3).book, alone)).conclusions
    assert "90.0 % (over 1 of 3 seeds)" in found.text
    assert said(found)[NEXT] == "Run the sweep again: 2 of 3 seeds of the best one are missing."


def test_models_that_solve_nothing_are_not_judged_on_more_problems():
    test = ("humaneval", "typos")
    rates = {
        CellLabels("one", "full", name, 42): {test: ProblemRates(passing(0), {}, 1, 1)} for name in ("clean", "half")
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"]).book, rates)).conclusions
    assert said(found)[NEXT].startswith("No model passes a problem here, so more problems would tell nothing: look")


def test_a_lead_within_noise_asks_for_problems_and_seeds_and_gives_no_number():
    test = ("humaneval", "typos")
    rates = {
        CellLabels("one", "full", name, seed): {test: ProblemRates(passing(number), {}, 1, 1)}
        for name, numbers in {"clean": (8, 14), "half": (9, 14)}.items()
        for seed, number in enumerate(numbers)
    }
    (found,) = EXHIBITS["choice"].draw(Evidence(curve_evidence(["one"]).book, rates)).conclusions
    assert "within noise" in said(found)[SURE]
    assert said(found)[NEXT].startswith("Judge the best two on more problems and train them with more seeds, or take")


def test_of_two_that_are_too_close_the_one_that_is_trained_faster_is_named():
    test, order = ("humaneval", "typos"), curve_evidence(["one"]).book.order
    rates = {
        CellLabels("one", "full", name, 42): {test: ProblemRates(passing(number), {}, 1, 1)}
        for name, number in (("half", 12), ("most", 11))
    }
    trained = [
        ReportedTraining("one", name, "full", 42, 9, 0, {}, 9, (), 0.1, seconds=seconds)
        for name, seconds in (("half", 90), ("most", 60))
    ]
    (found,) = EXHIBITS["choice"].draw(Evidence(ScoreBook.of([], order), rates, trained)).conclusions
    assert said(found)[NEXT].endswith("costs least, which in time is one fine-tuned on most.")
    assert said(found)[COST] == "Fine-tuning took 1 min 30 s; that of one fine-tuned on most, 1 min 00 s."


def choice_of_seeds(numbers, seeds=3):
    """The choice among models with a number of passed problems, of 20, for each of their seeds."""
    test = ("humaneval", "typos")
    rates = {
        CellLabels("one", "full", name, seed): {test: ProblemRates(passing(number), {}, 1, 1)}
        for name, of_seeds in numbers.items()
        for seed, number in enumerate(of_seeds)
    }
    book = ScoreBook.of([], replace(curve_evidence(["one"]).book.order, seeds=seeds))
    (found,) = EXHIBITS["choice"].draw(Evidence(book, rates)).conclusions
    return found


@pytest.mark.parametrize(
    ("half", "most"), [((8, 14, 16), (7, 7, 8)), ((9, 10, 9), (7, 7, 8)), ((20, 20, 19), (2, 3, 2))]
)
def test_headline_lead_and_advice_rest_on_one_rule(half, most):
    found = choice_of_seeds({"half": half, "most": most})
    low = float(re.search(r"95 % interval (\S+) to \S+\) is", said(found)[SURE])[1].replace("−", "-"))
    is_clear = low > 0
    assert ("is best" in found.text) == is_clear and ("too close" in found.text) != is_clear
    assert ("beyond noise" in said(found)[SURE]) == is_clear
    assert ("don't settle" in said(found)[SURE]) != is_clear
    assert said(found)[NEXT].startswith("Judge the best two") != is_clear


def test_seeds_are_those_that_there_are():
    assert "of 20 problems." in said(choice_of_seeds({"half": (20,), "most": (2,)}))[SURE]
    both = choice_of_seeds({"half": (9, 10, 9), "most": (7,)})
    assert said(both)[NEXT] == "Run the sweep again: 2 of 3 seeds of the second best one are missing."
