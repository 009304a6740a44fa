"""Numbers of several seeds are one mean in every table, figure and sentence."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from statistics import mean, stdev

import numpy as np
import pytest

from raysweep.analysis.comparisons.base import rates_of
from raysweep.analysis.comparisons.estimate import limits_of
from raysweep.analysis.comparisons.pairing import Baselines
from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.exhibits.catalogue import draw, read_exhibits
from raysweep.analysis.sections.base import Report
from raysweep.analysis.sections.findings import findings
from raysweep.analysis.tables.difference_tables import difference_tables
from raysweep.analysis.tables.frame import ALL_SEEDS, Failure, ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.pooling import SeedGroups, differences_over_seeds, have_several_seeds, scores_over_seeds
from raysweep.analysis.tables.table import as_record, to_csv, to_latex, to_markdown
from raysweep.metrics.base import CellLabels
from raysweep.metrics.scores import problem_scores, scores_of
from raysweep.programs import Outcome
from raysweep.records import Result
from tests.analysis.examples import with_differences

SEEDS = (1, 2, 3)
ORDER = Order(("m",), ("base", "clean", "C1"), ("mini",), ("clean", "C1"))
CELLS = [("none", "base", 1)] + [
    (recipe, trained, seed) for trained in ("clean", "C1") for recipe in ("full", "lora8") for seed in SEEDS
]


def verdicts(recipe: str, trained: str, seed: int, perturbation: str) -> list[Result]:
    rng = np.random.default_rng([seed, len(trained), len(perturbation), len(recipe)])
    level = {"base": 0.5, "clean": 0.6, "C1": 0.7}[trained] - 0.2 * (perturbation == "C1")
    hard = np.random.default_rng(0).uniform(-0.3, 0.3, 60)
    passed = rng.random((60, 4)) < np.clip(level + hard + 0.05 * (seed - 2), 0, 1)[:, None]
    outcomes = {True: Outcome.PASSED, False: Outcome.FAILED}
    return [
        Result(f"t{task}", sample, outcomes[bool(one)], "", "", 0.1, "")
        for task, of_task in enumerate(passed)
        for sample, one in enumerate(of_task)
    ]


@pytest.fixture(scope="module")
def numbers():
    """Scores and differences by seed, what seeds share, and verdicts by problem, of two recipes and three seeds."""
    scores, differences, rates = [], [], {}
    baselines, groups = Baselines(), SeedGroups()
    for recipe, trained, seed in CELLS:
        labels = CellLabels("m", recipe, trained, seed)
        results = {("mini", name): verdicts(recipe, trained, seed, name) for name in ("clean", "C1")}
        scores += scores_of(labels, results, {})
        rows = list(problem_scores(labels, {name: [of] for name, of in results.items()}))
        rates[labels] = rates_of(rows)
        differences += baselines.differences(labels, rates[labels])
        if trained != "base":
            groups.add(labels, rates[labels], {one: of for one, of in rates.items() if one.training_set != "C1"})
    return scores, differences, groups.shared, rates


@pytest.fixture(scope="module")
def report(numbers) -> tuple[Report, Evidence]:
    scores, differences, shared, rates = numbers
    pooled, by_seed = scores_over_seeds(scores, shared), ScoreFrame.of(scores, ORDER)
    report = Report(
        "s", "s", "", pooled, ORDER, (), differences=differences_over_seeds(differences, shared), by_seed=by_seed
    )
    return report, Evidence(report.frame, rates, by_seed=by_seed)


def one(records, **labels):
    (found,) = [each for each in records if all(getattr(each, key) == value for key, value in labels.items())]
    return found


def test_a_number_is_the_mean_over_seeds_with_the_sd_between_them(numbers):
    scores, _, shared, _ = numbers
    for metric in ("pass@1", "RD", "drop"):
        labels = {"recipe": "full", "training_set": "C1", "perturbation": "C1", "metric": metric}
        seeds = [one(scores, seed=seed, **labels) for seed in SEEDS]
        pooled = one(scores_over_seeds(scores, shared), **labels)
        assert (pooled.seed, pooled.seeds, pooled.n) == (ALL_SEEDS, 3, 60)
        assert pooled.value == pytest.approx(mean(each.value for each in seeds))
        assert pooled.sd == pytest.approx(stdev(each.value for each in seeds))
        assert pooled.low < pooled.value < pooled.high
        spread = 2 * 2 * pooled.sd / math.sqrt(3)
        assert pooled.high - pooled.low > spread, "the interval knows the spread between seeds"
    assert all(0 < of.rates <= 1 and 0 < of.losses <= 1 for of in shared.values())
    assert min(of.losses for place, of in shared.items() if place[-1][1] == "C1") < 0.8, "seeds share the problems"


def test_the_base_stands_once_and_one_seed_changes_nothing(numbers):
    scores, differences, shared, _ = numbers
    of_base = [each for each in scores if each.training_set == "base"]
    assert [each for each in scores_over_seeds(scores, shared) if each.training_set == "base"] == of_base
    assert have_several_seeds(scores) and have_several_seeds(differences)
    assert not have_several_seeds([each for each in scores if each.seed == 1])
    assert have_several_seeds([Failure("m", "full", "C1", seed, "") for seed in (1, 2)])


def test_seeds_that_failed_or_have_no_number_are_counted(numbers):
    scores, _, shared, _ = numbers
    labels = {"recipe": "full", "training_set": "C1", "perturbation": "C1", "metric": "RD"}
    undefined = replace(one(scores, seed=2, **labels), value=math.nan, note="the clean score is 0")
    there = [undefined if each == one(scores, seed=2, **labels) else each for each in scores]
    found = one(scores_over_seeds(there, shared), **labels)
    assert found.seeds == 2 and found.note == "the clean score is 0; mean over 2 of 3 seeds"
    alone = [each for each in scores if (each.recipe, each.training_set) != ("full", "C1") or each.seed == 3]
    found = one(scores_over_seeds(alone, shared), **labels)
    own = one(scores, seed=3, **labels)
    assert (found.value, found.low, found.high, found.note) == (own.value, own.low, own.high, "1 of 3 seeds")
    none = [replace(each, value=math.nan, note="why") if each.metric == "RD" else each for each in scores]
    found = one(scores_over_seeds(none, shared), **labels)
    assert math.isnan(found.value) and (found.seeds, found.note) == (0, "why")


def test_a_differences_p_is_that_of_its_mean_and_of_its_interval(numbers):
    _, differences, shared, _ = numbers
    pooled = differences_over_seeds(differences, shared)
    assert {each.seed for each in pooled} == {ALL_SEEDS}
    for against in ("base", "clean"):
        labels = {"recipe": "full", "training_set": "C1", "perturbation": "C1", "against": against}
        difference = one(pooled, metric="pass@1_difference", **labels)
        p = one(pooled, metric="pass@1_difference_p", **labels)
        seeds = [one(differences, seed=seed, metric="pass@1_difference", **labels).value for seed in SEEDS]
        assert difference.value == pytest.approx(mean(seeds)) and difference.sd == pytest.approx(stdev(seeds))
        assert (p.value < 0.05) == (difference.low > 0) and math.isnan(p.sd)


def test_every_table_has_one_row_for_all_seeds(report):
    numbers, evidence = report
    drawn = draw(list(read_exhibits().values()), evidence)
    tables = [*drawn.tables, *difference_tables(with_differences(numbers.frame, numbers.differences))]
    assert len(tables) > 8
    for table in tables:
        labels = [row.labels for row in table.rows]
        assert len(set(labels)) == len(labels) and not any("seed" in text for row in labels for text in row), (
            table.title
        )
    (choice,) = drawn.conclusions
    assert "highest of 5 models" in choice.answer, "a base, two recipes on two training sets"
    assert "over 60 problems and 3 seeds" in choice.sure
    assert [variant.label for variant in numbers.frame.variants] == ["m · full", "m · lora8"]
    assert len(findings(numbers.frame)) == 2


def test_each_seed_has_a_row_where_that_is_asked_for(numbers):
    scores, differences, _, rates = numbers
    frame = ScoreFrame.of(scores, ORDER)
    drawn = draw([read_exhibits()["summary"]], Evidence(frame, rates))
    assert len(drawn.tables) == 6 and "m · full · seed 1" in {table.title.split(", ")[-1] for table in drawn.tables} | {
        variant.label for variant in frame.variants
    }
    (table,) = difference_tables(with_differences(frame, differences))
    assert {row.labels[1] for row in table.rows} == {
        f"m · {recipe} · seed {n}" for recipe in ("full", "lora8") for n in SEEDS
    }


def test_tables_show_sd_and_the_number_of_seeds_in_every_format(report):
    (table,) = draw([read_exhibits()["clean"]], report[1]).tables
    assert table.problems == "n = 60 problems, 3 training seeds"
    for text in (to_markdown(table), to_latex(table)):
        assert "SD 5." in text or "SD 4." in text
        assert "Fine-tuned models: means over training seeds (SD: standard deviation between these), with" in text
    row = next(csv.DictReader(to_csv(table).splitlines()))
    assert row["C1 seeds"] == "3" and 0 < float(row["C1 SD"]) < 20 and row["n"] == "60"
    assert not row.get("base seeds")
    cells = as_record(table)["rows"][0]["cells"]
    assert cells["C1"]["seeds"] == 3 and cells["C1"]["sd"] == pytest.approx(float(row["C1 SD"]))
    assert "seeds" not in cells["base"]


@pytest.mark.parametrize(
    ("metric", "limits"),
    [
        ("pass@1", (0, 1)),
        ("pass@1_difference", (-1, 1)),
        ("drop_level", (-1, 1)),
        ("RD", (-math.inf, 1)),
        ("RD_changed", (-math.inf, 1)),
        ("RD_change", (-math.inf, math.inf)),
        ("RD_change_clean", (-math.inf, math.inf)),
    ],
)
def test_no_interval_goes_beyond_what_is_possible(metric, limits):
    assert limits_of(metric) == limits
