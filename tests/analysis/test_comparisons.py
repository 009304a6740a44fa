"""Pairs of cells: numbers by hand and by brute force, baselines, and what is undefined."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from raysweep.analysis.comparisons.base import BELOW_DRAWS, COMPARISONS, Comparison, ProblemRates, rates_of
from raysweep.analysis.comparisons.degradation import DegradationChange, rd_change
from raysweep.analysis.comparisons.estimate import BELOW_SEEDS, with_seeds_notes
from raysweep.analysis.comparisons.pairing import Baselines, measure_pair
from raysweep.analysis.comparisons.pass_rates import PassRates
from raysweep.analysis.tables.compared_tables import ComparedCells, compared_tables
from raysweep.metrics.base import CellLabels
from raysweep.records import Difference, ProblemScore, Spec
from raysweep.testing import elsewhere, no_global_generator

MINI = "mini"


def rows(perturbation: str, *passed: int, n: int = 1, draw: int = 0) -> list[ProblemScore]:
    cell = ("m", "full", "C1", 42)
    return [ProblemScore(*cell, MINI, perturbation, draw, f"t{task}", n, count, 0) for task, count in enumerate(passed)]


def rates(*passed: float, clean: tuple[float, ...] = (), completions: int = 1) -> ProblemRates:
    names = [f"t{task}" for task in range(len(passed))]
    return ProblemRates(dict(zip(names, passed, strict=True)), dict(zip(names, clean, strict=False)), completions, 1)


def measured(comparison, first, second):
    return {one.metric: one for one in comparison().measure(first, second)}


def test_rates_are_means_over_draws_beside_the_clean_ones():
    found = rates_of([*rows("clean", 2, 0, n=2), *rows("C1", 1, 0, n=2), *rows("C1", 2, 1, n=2, draw=1)])
    assert found[MINI, "C1"].rates == {"t0": 0.75, "t1": 0.25}
    assert found[MINI, "C1"].clean == {"t0": 1.0, "t1": 0.0}
    assert (found[MINI, "C1"].completions, found[MINI, "C1"].draws) == (2, 2)
    assert found[MINI, "clean"].clean == {}


@pytest.mark.parametrize(
    ("draws", "is_noise"), [([(1, 1, 1, 0), (1, 1, 0, 1)], False), ([(1, 1, 1, 1), (0,) * 4], True)]
)
def test_an_effect_below_2_sd_between_draws_is_called_within_noise(draws, is_noise):
    clean, baseline = rows("clean", 1, 1, 1, 1), rows("C1", 1, 0, 0, 0) + rows("C1", 0, 1, 0, 0, draw=1)
    first, second = (
        rates_of([*clean, *noisy])[MINI, "C1"]
        for noisy in (baseline, [row for number, one in enumerate(draws) for row in rows("C1", *one, draw=number)])
    )
    first = replace(first, by_draw={**first.by_draw, "elsewhere": (1, 0)})  # a problem that the other lacks
    assert second.means_by_draw(second.rates) == tuple(sum(one) / 4 for one in draws)
    for comparison, metric in ((PassRates, "pass@1_difference"), (DegradationChange, "RD_change")):
        note = measured(comparison, first, second)[metric].note
        assert (BELOW_DRAWS in note) == is_noise and "means over 2 draws" in note


def test_a_problem_without_a_verdict_is_no_rate():
    assert rates_of(rows("C1", 0, n=0)) == {}


def test_differences_of_pass_rates_are_second_minus_first_with_the_problems_that_differ():
    found = measured(PassRates, rates(1, 0, 0, 1, 0), rates(1, 1, 1, 0, 0))
    assert found["pass@1_difference"].value == pytest.approx(0.2)
    assert found["pass@1_difference"].low <= 0.2 <= found["pass@1_difference"].high
    assert (found["problems_gained"].value, found["problems_lost"].value) == (2, 1)
    assert found["pass@1_difference_p"].value == 1.0
    assert all(one.n == 5 for one in found.values())


def test_cells_with_unlike_numbers_of_completions_are_compared_by_their_pass_rates():
    found = measured(PassRates, rates(0.5, 0, completions=2), rates(1, 1))
    assert (found["pass@1_difference"].value, found["pass@1_difference_p"].value) == (0.75, 0.5)


def test_only_problems_of_both_cells_count():
    first, second = rates(1, 0, 1), ProblemRates({"t1": 1.0, "t9": 0.0}, {}, 1, 1)
    assert measured(PassRates, first, second)["pass@1_difference"].n == 1
    nothing = measured(PassRates, first, ProblemRates({"t9": 1.0}, {}, 1, 1))["pass@1_difference"]
    assert math.isnan(nothing.value) and nothing.note == "no problem has a verdict of both models"


def test_a_change_of_rd_is_the_sum_of_its_parts_and_the_shapley_values_of_the_scores():
    rng = random.Random(1)

    def rd(clean: float, perturbed: float) -> float:
        return 1 - perturbed / clean

    for _ in range(200):
        c1, p1, c2, p2 = (rng.uniform(0.01, 1) for _ in range(4))
        change, perturbed, clean = rd_change(c1, p1, c2, p2)
        assert change == pytest.approx(rd(c2, p2) - rd(c1, p1))
        assert change == pytest.approx(perturbed + clean)
        either_order = (rd(c1, p2) - rd(c1, p1) + rd(c2, p2) - rd(c2, p1)) / 2
        assert perturbed == pytest.approx(either_order)


def test_a_fallen_clean_score_alone_makes_rd_look_better():
    change, perturbed, clean = rd_change(0.4, 0.2, 0.3, 0.2)
    assert change < 0
    assert perturbed == 0
    assert clean == pytest.approx(change)


def test_rd_changes_come_with_intervals_that_contain_them():
    first = rates(1, 0, 0, 0, 1, 0, clean=(1, 1, 0, 1, 1, 0))
    second = rates(1, 1, 0, 0, 1, 0, clean=(1, 1, 0, 0, 1, 0))
    found = measured(DegradationChange, first, second)
    assert list(found) == ["RD_change", "RD_change_perturbed", "RD_change_clean"]
    assert found["RD_change"].value == pytest.approx((1 - 3 / 3) - (1 - 2 / 4))
    assert all(one.low <= one.value <= one.high and one.n == 6 for one in found.values())


def test_equal_cells_give_equal_numbers_in_every_process():
    cells = (
        rates(1, 0, 0, 0, 1, 0, clean=(1, 1, 0, 1, 1, 0)),
        rates(1, 1, 0, 0, 1, 0, clean=(1, 1, 0, 0, 1, 0)),
    )
    with no_global_generator():
        here = numbers_of(*cells)
    assert here == numbers_of(*cells) == elsewhere(numbers_of, *cells)


def numbers_of(first: ProblemRates, second: ProblemRates) -> str:
    return repr([COMPARISONS.create(Spec(name)).measure(first, second) for name in COMPARISONS.names()])


def test_rd_changes_between_equal_verdicts_have_a_symmetric_interval():
    cell = rates(1, 0, 1, 0, 1, clean=(1, 1, 1, 0, 1))
    for found in measured(DegradationChange, cell, cell).values():
        assert found.value == 0 and -found.low == found.high > 0


def test_rd_changes_are_undefined_with_a_reason_and_absent_on_the_clean_set():
    assert measured(DegradationChange, rates(1, 0), rates(1, 1)) == {}
    found = measured(DegradationChange, rates(1, 0, clean=(0, 0)), rates(1, 1, clean=(1, 1)))
    assert all(math.isnan(one.value) and math.isnan(one.low) for one in found.values())
    assert found["RD_change"].note == "an RD is undefined: a clean score is 0"


def test_each_cell_is_compared_with_its_base_model_and_its_twin_on_clean_rows():
    frame = Baselines()
    verdicts = rates_of([*rows("clean", 1, 1), *rows("C1", 0, 1)])
    base, clean = CellLabels("m", "none", "base", 42), CellLabels("m", "full", "clean", 42)
    assert frame.differences(base, verdicts) == []
    assert {one.against for one in frame.differences(clean, verdicts)} == {"base"}
    found = frame.differences(CellLabels("m", "full", "C1", 42), verdicts)
    assert {one.against for one in found} == {"base", "clean"}
    assert {(one.perturbation, one.metric) for one in found} >= {("clean", "pass@1_difference_p"), ("C1", "RD_change")}
    others = [CellLabels("m", "lora", "C1", 42), CellLabels("m", "full", "C1", 43)]
    assert all({one.against for one in frame.differences(other, verdicts)} == {"base"} for other in others)
    assert frame.differences(CellLabels("other", "full", "C1", 42), verdicts) == []


def test_a_set_of_another_source_is_compared_with_the_clean_set_of_that_source():
    frame = Baselines({"evol": "evol", "evol-C1": "evol", "oss-C1": ""})
    verdicts = rates_of([*rows("clean", 1, 1), *rows("C1", 0, 1)])
    assert [frame.place_of(name) for name in ("base", "evol", "evol-C1", "oss-C1")] == [0, 1, 2, 2]
    for recipe, trained in (("none", "base"), ("full", "evol")):
        frame.differences(CellLabels("m", recipe, trained, 42), verdicts)
    for trained, against in (("evol-C1", {"base", "evol"}), ("oss-C1", {"base"})):
        found = frame.differences(CellLabels("m", "full", trained, 42), verdicts)
        assert {one.against for one in found} == against


def seeds(metric: str, *values: float, low: float = -1.0) -> list[Difference]:
    cell = ("m", "full", "C1")
    return [
        Difference(*cell, seed, "clean", MINI, "C1", metric, value, low, low, 4, note=f"{value}")
        for seed, value in enumerate(values)
    ]


def test_a_mean_over_seeds_below_2_sd_between_them_is_called_within_noise():
    sure, unsure = seeds("RD_change", 0.02, 0.03, 0.01), seeds("pass@1_difference", 0.02, -0.03, 0.05)
    counts, one_seed = seeds("problems_gained", 0, 5, low=math.nan), seeds("RD_change_clean", 0.02)
    assert with_seeds_notes([*sure, *unsure, *counts, *one_seed]) == [
        *sure,
        *(replace(one, note=f"{one.note}; {BELOW_SEEDS}") for one in unsure),
        *counts,
        *one_seed,
    ]


@pytest.mark.parametrize(
    ("third", "metrics"),
    [((1, 1, 0, 0, 1, 0), {"difference (points)"}), ((1, 1, 1, 1, 1, 0), set())],
)
def test_compared_cells_of_several_seeds_say_which_numbers_are_within_noise(third, metrics):
    first = {(MINI, "clean"): rates(1, 0, 0, 0, 1, 0)}
    seconds = [rates(1, 1, 1, 0, 1, 0), rates(1, 0, 0, 0, 0, 0), rates(*third)]
    if not metrics:
        seconds[1] = rates(1, 1, 0, 0, 1, 0)
    pairs = [ComparedCells(f"m · seed {n}", first, {(MINI, "clean"): one}, alike="m") for n, one in enumerate(seconds)]
    (table,) = compared_tables(pairs, "mine", "theirs")
    names = [column.name for column in table.columns]
    for row in table.rows:
        assert {name for name, cell in zip(names, row.cells, strict=True) if BELOW_SEEDS in cell.note} == metrics
    apart = compared_tables([replace(one, alike="") for one in pairs], "mine", "theirs")
    assert not any(BELOW_SEEDS in note for note in apart[0].footnotes)


def test_p_agrees_with_the_interval_and_needs_two_problems():
    for first, second in ((rates(*[0] * 12), rates(*[1] * 6, *[0] * 6)), (rates(*[0] * 12), rates(1, *[0] * 11))):
        found = measured(PassRates, first, second)
        excludes_0 = found["pass@1_difference"].low > 0
        assert (found["pass@1_difference_p"].value < 0.05) == excludes_0
        swapped = measured(PassRates, second, first)["pass@1_difference"]
        assert swapped.high == pytest.approx(-found["pass@1_difference"].low, abs=0.06)
    several = measured(PassRates, rates(0.5, 0, 0.25, completions=4), rates(1, 1, 0.25, completions=4))
    assert several["pass@1_difference_p"].value == 0.5, "the two problems that differ gain in 1 of 4 patterns of signs"
    assert measured(PassRates, rates(1, 0, 0.5), rates(1, 0, 0.5))["pass@1_difference_p"].value == 1
    assert "pass@1_difference_p" not in measured(PassRates, rates(1), rates(0))


def test_p_has_no_floor_but_the_number_of_patterns_of_signs():
    found = measured(PassRates, rates(*[0.1] * 60, completions=40), rates(*[0.35] * 60, completions=40))
    assert found["pass@1_difference_p"].value == pytest.approx(2 / 2**60)


def test_a_difference_to_the_base_leaves_the_edited_problem_out_on_both_sides():
    def of(cell: tuple[str, str, str, int], perturbation: str, **passed: int) -> list[ProblemScore]:
        return [ProblemScore(*cell, MINI, perturbation, 0, task, 1, one, 0) for task, one in passed.items()]

    base, edited = ("m", "none", "base", 42), ("m", "creme", "mini-C1-pair1", 42)
    baselines = Baselines()
    of_base = rates_of([*of(base, "clean", a=1, b=0, pair=1), *of(base, "C1", a=0, b=0, pair=0)])
    assert baselines.differences(CellLabels(*base), of_base) == []
    of_edited = rates_of([*of(edited, "clean", a=1, b=0), *of(edited, "C1", a=1, b=0)])
    found = {(one.perturbation, one.metric): one for one in baselines.differences(CellLabels(*edited), of_edited)}
    clean, perturbed = (found[name, "pass@1_difference"] for name in ("clean", "C1"))
    assert (clean.value, clean.n) == (0, 2) and clean.high == -clean.low
    assert (perturbed.value, perturbed.n) == (0.5, 2)
    assert found["C1", "RD_change"].value == -1 and found["C1", "RD_change"].n == 2


class Broken(Comparison):
    """Divides by zero."""

    def measure(self, first, second):
        return [1 / 0]


def test_a_comparison_that_fails_is_an_undefined_number_and_the_others_go_on(monkeypatch):
    COMPARISONS.names()
    monkeypatch.setitem(COMPARISONS._classes, "broken", Broken)
    found = {one.metric: one for _, one in measure_pair({(MINI, "C1"): rates(1, 0)}, {(MINI, "C1"): rates(1, 1)})}
    assert math.isnan(found["broken"].value)
    assert found["broken"].note == "the metric failed: ZeroDivisionError: division by zero"
    assert found["pass@1_difference"].value == 0.5
