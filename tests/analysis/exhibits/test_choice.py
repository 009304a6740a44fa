"""The model with the highest pass@1: what is said of it in each case, and the rule behind that."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from raysweep.analysis.comparisons.base import ProblemRates
from raysweep.analysis.exhibits.base import Conclusion, Evidence
from raysweep.analysis.exhibits.selections import unasked
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.pooling import EDITED, WAY
from raysweep.analysis.tables.trainings import ReportedTraining
from raysweep.metrics.base import CellLabels
from tests.analysis.exhibits.examples import CURVES, EXHIBITS, curve_evidence, passing, rated, score

TYPOS, CLEAN = ("humaneval", "typos"), ("humaneval", "clean")


def of_seeds(passed: Mapping[str, Sequence[int]], seconds: Mapping[str, float] | None = None, **order: Any) -> Evidence:
    """The model one, whose training sets pass so many of 20 problems under typos, a number for each seed."""
    rates = {
        CellLabels("one", "none" if name == "base" else "full", name, seed): {TYPOS: rated(number)}
        for name, numbers in passed.items()
        for seed, number in enumerate(numbers)
    }
    trained = [
        ReportedTraining("one", name, "full", 42, 9, 0, {}, 9, (), 0.1, seconds=of)
        for name, of in (seconds or {}).items()
    ]
    return Evidence(ScoreFrame.of([], replace(curve_evidence(["one"]).frame.order, **order)), rates, trained)


def alone(*, finished: bool) -> Evidence:
    """A base model; finished: the sweep has no other."""
    rates = {CellLabels("one", "none", "base", 42): {TYPOS: rated(8), CLEAN: rated(12)}}
    scores = [score("one", "base", test, "pass@1", n / 20, n=20) for test, n in (("clean", 12), ("typos", 8))]
    frame = ScoreFrame.of(scores, replace(CURVES, models=("one",), training_sets=("base",)))
    return Evidence(frame if finished else curve_evidence(["one"]).frame, rates)


def edits(*models: str) -> Evidence:
    """Base models and edited ones, which are no candidates."""
    rates = {
        CellLabels(model, "none", "base", 42): {test: rated(12 if model == "one" else 8) for test in (TYPOS, CLEAN)}
        for model in models
    }
    scores = [
        score(model, name, test, "pass@1", 0.4, n=20)
        for model in models for name in ("base", EDITED) for test in ("clean", "typos")
    ]  # fmt: skip
    order = replace(CURVES, models=models, training_sets=("base", EDITED), ways={EDITED: WAY})
    return Evidence(ScoreFrame.of(scores, order), rates)


def without_perturbations() -> Evidence:
    scores = [score("one", name, "clean", "pass@1", 0.5, n=20) for name in ("clean", "half")]
    rates = {
        CellLabels("one", "full", name, 42): {CLEAN: rated(number)} for name, number in (("clean", 4), ("half", 18))
    }
    return Evidence(ScoreFrame.of(scores, replace(CURVES, perturbations=("clean",), headline="")), rates)


CASES = {
    "the problems don't settle it": curve_evidence(["one"]),
    "rivals on other problems": of_seeds({"half": [11], "most": [-10], "clean": [1]}),
    "clear with two seeds": of_seeds({"clean": [2, 4], "half": [18, 20]}),
    "a lead within noise": of_seeds({"clean": [8, 8, 8], "half": [14, 8, 16]}),
    "a lead beyond noise": of_seeds({"clean": [8, 8, 8], "half": [14, 15, 16]}),
    "a lead over the base within noise": of_seeds({"base": [8], "half": [14, 8, 16]}),
    "more seeds than are named": of_seeds({"clean": [8] * 6, "half": [14, 15, 16, 14, 15, 16]}),
    "no lead on the seeds of both": of_seeds({"half": [8, 9, 20], "clean": [10, 12]}),
    "a tie": of_seeds({"clean": [3], "half": [5], "some-a": [5], "some-b": [5], "some-c": [5]}),
    "beside its base, with the time of its training": of_seeds({"base": [4], "half": [19]}, {"half": 90}),
    "the faster one of two": of_seeds({"half": [12], "most": [11]}, {"half": 90, "most": 60}),
    "two seeds within noise": of_seeds({"clean": [8, 14], "half": [9, 14]}),
    "the best lacks a seed": of_seeds({"half": [18, 20], "clean": [2, 3, 4]}),
    "both lack two seeds": of_seeds({"half": [18], "clean": [2]}, seeds=3),
    "the second lacks two seeds": of_seeds({"half": [9, 10, 9], "most": [7]}, seeds=3),
    "nothing is solved": of_seeds({"clean": [0], "half": [0]}),
    "one model of an unfinished sweep": alone(finished=False),
    "one model": alone(finished=True),
    "edits of one model": edits("one"),
    "edits of two models": edits("one", "two"),
    "without perturbations": without_perturbations(),
}


def choice(evidence: Evidence) -> Conclusion:
    (found,) = EXHIBITS["choice"].draw(evidence).conclusions
    return found


@pytest.mark.parametrize("case", CASES)
def test_three_sentences_say_the_answer_how_sure_it_is_and_what_it_costs(case, snapshot):
    found = choice(CASES[case])
    assert "\n".join((found.answer, found.sure, found.cost)) == snapshot


def test_a_sweep_of_edits_has_no_word_of_fine_tuning():
    for models in (["one"], ["one", "two"]):
        assert "fine-tun" not in str(choice(edits(*models))).lower()


def test_a_sweep_without_perturbations_is_not_asked_for_them():
    assert "perturbation" in unasked(EXHIBITS["summary"], without_perturbations().frame)


def test_models_are_compared_on_the_problems_that_all_have():
    found = of_seeds({"half": [10], "clean": [3]})
    few = {CellLabels("one", "full", "clean", 0): {TYPOS: ProblemRates(passing(3, 5), {}, 1, 1)}}
    shown = choice(replace(found, rates={**found.rates, **few}))
    assert "100.0 % of its programs" in shown.answer and "over 5 problems" in shown.sure


@pytest.mark.parametrize(
    ("half", "most"), [((8, 14, 16), (7, 7, 8)), ((9, 10, 9), (7, 7, 8)), ((20, 20, 19), (2, 3, 2))]
)
def test_a_model_is_the_better_one_where_the_interval_of_its_lead_leaves_out_0(half, most):
    sure = choice(of_seeds({"half": half, "most": most}, seeds=3)).sure
    low = float(re.search(r"95 % interval (\S+) to \S+\)", sure)[1].replace("−", "-"))
    assert ("the better one" in sure) == (low > 0) and ("too close" in sure) == (low <= 0)


def test_a_lead_over_seeds_is_the_mean_of_their_differences_on_the_same_problems():
    shown = choice(of_seeds({"clean": [8, 9, 8], "half": [14, 15, 16]}))
    assert f"is {100 * (45 - 25) / 60:.1f} points over 20 problems and 3 seeds" in shown.sure
