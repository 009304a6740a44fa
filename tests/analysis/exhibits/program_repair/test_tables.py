"""Tables of models that repair, beside the same numbers recomputed in pandas from the simulated verdicts."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from statistics import mean, stdev

import pandas as pd
import pytest

from raysweep.analysis.exhibits.base import PROGRAM_REPAIR, Evidence, NothingToDraw
from raysweep.analysis.exhibits.catalogue import draw, read_exhibits
from raysweep.analysis.exhibits.program_repair.models import pairs_of
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import RecipeChoice
from raysweep.analysis.tables.table import FORMATS, to_markdown, written
from raysweep.stats.intervals import Interval
from raysweep.stats.seeds import mean_over_seeds
from tests.analysis.exhibits.examples import study
from tests.analysis.exhibits.program_repair.examples import (
    MODELS,
    ORDER,
    PLAIN,
    SETS,
    SIZES,
    UNTESTED,
    choices,
    evidence,
    evidence_of_seeds,
    numbers,
    texts,
    trainings,
    verdicts,
)

EXHIBITS = {name: one for name, one in read_exhibits().items() if name.startswith("repair-")}
FAMILIES = {
    "codegen": "CodeGen", "codet5": "CodeT5", "starcoder": "StarCoder", "deepseek": "DeepSeekCoder", "bloom": "Bloom",
    "codellama": "CodeLlama",
}  # fmt: skip


def family(model):
    return next(of for start, of in FAMILIES.items() if model.startswith(start))


@pytest.fixture(scope="module")
def table():
    return verdicts()


@pytest.fixture(scope="module")
def few(table):
    """The verdicts of two models, each with both prompts."""
    return table[table["model"].str.startswith(("bloom", "codellama"))]


@pytest.fixture(scope="module")
def of_sweep(table):
    return evidence(table, trainings=trainings(), choices=choices())


@pytest.fixture(scope="module")
def means(table):
    """The headline's number in percent: of the first answers those that pass, or are exact where there are no tests."""
    first = table[table["sample"] == 0].copy()
    first["hit"] = first["passed"].where(first["set"] != UNTESTED, first["exact"]).astype(float)
    return 100 * first.groupby(["model", "recipe", "set"])["hit"].mean()


@pytest.mark.slow
def test_each_model_has_a_row_for_each_regime_with_the_numbers_of_all_sets(of_sweep, table):
    (shown,) = EXHIBITS["repair-regimes"].draw(of_sweep).tables
    assert [row.labels for row in shown.rows][:4] == [
        ("CodeGen", "codegen-350m", regime) for regime in ("none", "full", "lora", "ia3")
    ]
    assert len(shown.rows) == 4 * len(MODELS)
    for k, (metric, what) in product((1, 10), (("plausible", "passed"), ("exact match", "exact"))):
        judged = table[(table["sample"] < k) & table[what].notna()]
        solved = (
            judged.groupby(["model", "recipe", "set", "task"])[what].any().groupby(["model", "recipe", "set"]).mean()
        )
        for name in SETS:
            column = f"{name} {metric}@{k} (%)"
            if name == UNTESTED and what == "passed":
                assert column not in [one.full_name for one in shown.columns]
                continue
            for (_, model, regime), number in numbers(shown, column).items():
                assert number == pytest.approx(100 * solved[model, regime, name])


def test_cases_won_and_lost_are_those_of_the_verdicts(of_sweep, means):
    sums, cases = EXHIBITS["repair-lora-against-ia3"].draw(of_sweep).tables
    difference = (means.xs("lora", level="recipe") - means.xs("ia3", level="recipe")).rename("difference")
    found = numbers(cases, "difference (points)")
    assert {(labels[1], labels[3]): pytest.approx(value) for labels, value in found.items()} == dict(difference.items())
    for name, of in [*((name, difference.xs(name, level="set")) for name in SETS), ("all", difference)]:
        row = texts(sums)[name,]
        expected = (len(of), (of > 0).sum(), (of < 0).sum(), (of == 0).sum())
        assert tuple(int(row[column]) for column in ("cases", "higher", "lower", "equal")) == expected
    of_all = sums.rows[-1].cells
    assert 0 < of_all[1].low <= of_all[1].value <= of_all[1].high <= 4 * len(MODELS)
    shown = [row.cells[2] for row in cases.rows]
    assert int(of_all[4].value) == sum(cell.low > 0 for cell in shown)
    assert int(of_all[5].value) == sum(cell.high < 0 for cell in shown)
    assert of_all[4].value > of_all[5].value  # lora is better by design


def test_relative_changes_are_over_the_bases_number(of_sweep, means):
    _, cases = EXHIBITS["repair-lora-against-none"].draw(of_sweep).tables
    for labels, value in numbers(cases, "relative change (%)").items():
        before, after = (means[labels[1], recipe, labels[3]] for recipe in ("none", "lora"))
        assert (math.isnan(value) and before == 0) or value == pytest.approx(100 * (after / before - 1))


def test_only_cases_below_no_fine_tuning_have_a_row_of_their_own(of_sweep, means):
    sums, cases = EXHIBITS["repair-full-below-none"].draw(of_sweep).tables
    full, none = (means.xs(recipe, level="recipe") for recipe in ("full", "none"))
    assert {(labels[1], labels[3]) for labels in texts(cases)} == set(full[full < none].index)
    assert texts(sums)["all",]["lower"] == str((full < none).sum()) and len(cases.rows) < len(full)


def test_faulty_lines_are_compared_on_models_of_the_same_weights(of_sweep, means):
    sums, cases = EXHIBITS["repair-faulty-lines"].draw(of_sweep).tables
    found = numbers(cases, "difference (points)")
    assert len(found) == len(SIZES) * 4 * len(SETS)
    for (of, model, regime, name, _), value in found.items():
        assert value == pytest.approx(means[model, regime, name] - means[model + PLAIN, regime, name])
        assert of == family(model)
    assert list(texts(sums)) == [("none",), ("full",), ("lora",), ("ia3",), ("all",)]
    by_regime = {regime: [v for labels, v in found.items() if labels[2] == regime] for (regime,) in texts(sums)}
    assert int(texts(sums)["lora",]["higher"]) == sum(value > 0 for value in by_regime["lora"])


def test_a_base_without_the_lines_in_either_prompt_is_no_pair(few):
    infill = {name: replace(one, form="infill", before=False) for name, one in ORDER.faults.items()}
    sums, _ = EXHIBITS["repair-faulty-lines"].draw(evidence(few, replace(ORDER, faults=infill))).tables
    assert list(texts(sums)) == [("full",), ("lora",), ("ia3",), ("all",)]


def test_the_ends_of_each_family_are_compared_by_size(of_sweep, means):
    drawn = EXHIBITS["repair-sizes"].draw(of_sweep)
    assert [figure.label for figure in drawn.figures] == [table.label for table in drawn.tables]
    (shown,) = (table for table in drawn.tables if table.problem_set == "humaneval-java")
    row = texts(shown)["CodeGen", "with the faulty lines", "lora"]
    assert (row["models"], row["from"], row["to"]) == ("3", "codegen-350m (350M)", "codegen-6b (6B)")
    of = [means[model, "lora", "humaneval-java"] for model in ("codegen-350m", "codegen-2b", "codegen-6b")]
    assert (row["smallest (%)"], row["largest (%)"]) == (f"{of[0]:.1f}", f"{of[2]:.1f}")
    assert numbers(shown, "difference (points)")["CodeGen", "with the faulty lines", "lora"] == pytest.approx(
        of[2] - of[0]
    )
    assert (row["in between"] == "rises at each step") == (of[0] < of[1] < of[2])
    assert {labels[0] for labels in texts(shown)} == {"CodeGen", "DeepSeekCoder"}  # the others have one size
    assert {labels[1] for labels in texts(shown)} == {"with the faulty lines", "without the faulty lines"}
    assert b"<svg" in drawn.figures[0].render("svg")


@pytest.mark.slow
def test_costs_are_those_of_the_chosen_model_and_of_all_that_were_trained(few, tables_of_seeds, snapshot):
    models, seeds = ("bloom-560m", "codellama-7b"), ("codegen-350m", "codegen-2b")
    unknown = [replace(one, weights=None, memory_bytes=None) for one in trainings(models)]
    of_sweeps = [
        evidence(few, trainings=trainings(models), choices=choices(models)),
        evidence(few, trainings=unknown),
        evidence_of_seeds(tables_of_seeds, trainings=trainings_of_seeds(trainings(seeds))),
    ]
    tables = [table for of in of_sweeps for table in EXHIBITS["repair-costs"].draw(of).tables]
    assert "\n\n".join(map(to_markdown, tables)) == snapshot
    by_regime, of_models, *_ = tables
    assert texts(of_models)["CodeLlama", "codellama-7b", "lora"] == {
        "weights": "6,700,000,000", "trained weights": "6,700,000", "trained weights (%)": "0.1",
        "memory (GiB)": "2.00", "hours": "2", "CPU-hours": "4", "models trained": "2", "hours of all": "3",
    }  # fmt: skip
    assert texts(by_regime)["ia3",]["hours"] == "6"


def test_regimes_are_compared_at_equal_settings_where_there_are_several_recipes(few):
    renamed = {"lora": "lora.lr1e-4", "ia3": "ia3.lr1e-4"}
    other = few[few["recipe"] == "lora"].replace({"recipe": {"lora": "lora.lr1e-3"}})
    several = few.replace({"recipe": renamed})
    order = replace(
        ORDER,
        recipes={
            "lora.lr1e-3": RecipeChoice("sft", {}, "a", "lora", "lr 1e-3"),
            "lora.lr1e-4": RecipeChoice("sft", {}, "b", "lora", "lr 1e-4"),
            "ia3.lr1e-4": RecipeChoice("sft", {}, "c", "ia3", "lr 1e-4"),
            "full": RecipeChoice("sft", {}, "d", "full", "lr 1e-4"),
        },
    )
    of_sweep = evidence(pd.concat([several, other]), order)
    exhibit = EXHIBITS["repair-lora-against-ia3"]
    pairs, alone = pairs_of(exhibit.models(of_sweep), "ia3", "lora")
    assert alone == 4 and {(a.cell.recipe, b.cell.recipe) for a, b in pairs} == {("ia3.lr1e-4", "lora.lr1e-4")}
    sums, cases = exhibit.draw(of_sweep).tables
    assert "4 models of lora left out, without a like one of ia3." in sums.caption
    assert cases.rows[0].labels[2] == "lora · lora.lr1e-4 against ia3"


@pytest.mark.slow
def test_beside_equal_settings_the_chosen_models_are_compared(few):
    """Each regime has a choice, of grids of its own, and a recipe of equal settings; sizes have the latter alone."""
    equal = few[few["recipe"] != "none"].assign(recipe=lambda table: table["recipe"] + "-equal")
    small = equal[equal["model"] == "bloom-560m"].replace({"model": {"bloom-560m": "bloom-1b7"}})
    base = few[(few["recipe"] == "none") & (few["model"] == "bloom-560m")].assign(model="bloom-1b7")
    recipes = {
        **{name: RecipeChoice("sft", {}, name, name, f"grid of {name}", True) for name in ("full", "lora", "ia3")},
        **{f"{name}-equal": RecipeChoice("sft", {}, "a", name, "equal") for name in ("full", "lora", "ia3")},
    }
    faults = {**ORDER.faults, "bloom-1b7": ORDER.faults["bloom-560m"]}
    order = replace(ORDER, recipes=recipes, models=(*MODELS, "bloom-1b7"), faults=faults)
    trained = [*trainings(), *(replace(one, model="bloom-1b7", weights=10**9) for one in trainings(["bloom-560m"]))]
    of_sweep = evidence(pd.concat([few, equal, small, base]), order, trainings=trained)
    exhibit = EXHIBITS["repair-lora-against-ia3"]
    pairs, alone = pairs_of(exhibit.models(of_sweep), "ia3", "lora")
    found = {(one.cell.recipe, other.cell.recipe) for one, other in pairs}
    assert not alone and len(pairs) == 9 and found == {("ia3", "lora"), ("ia3-equal", "lora-equal")}
    sizes = texts(EXHIBITS["repair-sizes"].draw(of_sweep).tables[0])
    assert list(sizes) == [("Bloom", "with the faulty lines", regime) for regime in ("none", "full", "lora", "ia3")]


def test_a_group_stands_for_the_model_that_was_chosen_among_its_own(of_sweep):
    models = EXHIBITS["repair-lora-against-ia3"].models(of_sweep)
    assert {(model.regime, model.cell.recipe) for model in models} == {
        ("none", "none"), ("full", "full"), ("lora", "lora"), ("ia3", "ia3"),
    }  # fmt: skip
    pairs, alone = pairs_of(models, "ia3", "lora")
    assert len(pairs) == len(MODELS) and not alone


def test_a_model_of_no_known_family_is_one_of_its_own(few):
    renamed = few.replace({"model": {"bloom-560m": "mine"}})
    order = replace(ORDER, models=tuple("mine" if name == "bloom-560m" else name for name in MODELS))
    (shown,) = EXHIBITS["repair-regimes"].draw(evidence(renamed, order)).tables
    assert ("mine", "mine", "lora") in texts(shown)


def test_a_sweep_without_problem_sets_for_repair_has_nothing_to_show():
    left_out = draw(list(EXHIBITS.values()), study()).left_out
    assert {one.why for one in left_out} == {"it has no numbers of a problem set for repair yet"}
    assert len(left_out) == len(EXHIBITS)


@pytest.mark.parametrize(
    ("id", "why"),
    [
        ("repair-lora-against-ia3", "no base has verdicts after lora and ia3"),
        ("repair-full-below-none", "no base has verdicts after full and none"),
        ("repair-faulty-lines", "no two models that differ in the faulty lines"),
        ("repair-sizes", "no family has verdicts of two models"),
        ("repair-costs", "no model of it is fine-tuned yet"),
    ],
)
def test_a_question_that_can_not_be_asked_of_a_sweep_is_left_out(table, id, why):
    base = table[(table["model"] == "bloom-560m") & (table["recipe"] == "none")]
    with pytest.raises(NothingToDraw, match=why):
        EXHIBITS[id].draw(evidence(base, trainings=trainings()))


@pytest.mark.slow
def test_all_tables_are_of_the_section_and_can_be_files(of_sweep):
    drawn = draw(list(EXHIBITS.values()), of_sweep)
    grouped = drawn.groups[PROGRAM_REPAIR]
    assert len(grouped) == len({table.label for table in grouped}) == 11
    assert all(written(table, format) for table in drawn.tables for format in FORMATS)
    assert not draw(list(EXHIBITS.values()), Evidence(ScoreFrame.of([], ORDER))).tables


@pytest.fixture(scope="module")
def tables_of_seeds():
    names = ("codegen-350m", "codegen-2b")
    return {seed: verdicts(names, seed=f" {seed}") for seed in (1, 2, 3)}


def trainings_of_seeds(found):
    return [replace(one, seed=seed, seconds=seed * one.seconds) for seed in (1, 2, 3) for one in found]


def means_of(tables_of_seeds, model, recipe, name):
    """The headline's number of each seed, in percent."""
    found = []
    for table in tables_of_seeds.values():
        rows = table[(table["model"] == model) & (table["recipe"] == recipe) & (table["set"] == name)]
        rows = rows[rows["sample"] == 0]
        found.append(100 * rows["exact" if name == UNTESTED else "passed"].astype(float).mean())
    return found


@pytest.mark.slow
def test_several_seeds_are_one_row_with_their_mean_and_spread(tables_of_seeds):
    of_sweep = evidence_of_seeds(tables_of_seeds, trainings=trainings_of_seeds(trainings(("codegen-350m",))))
    (regimes,) = EXHIBITS["repair-regimes"].draw(of_sweep).tables
    assert [row.labels[2] for row in regimes.rows] == ["none", "full", "lora", "ia3"] * 2
    sums, cases = EXHIBITS["repair-lora-against-none"].draw(of_sweep).tables
    assert len(cases.rows) == 2 * len(SETS) and "leaves out how seeds differ" in sums.caption
    for row in cases.rows:
        _, model, label, name, _ = row.labels
        before, after, difference, _, reads = row.cells
        base, tuned = (means_of(tables_of_seeds, model, recipe, name) for recipe in ("none", "lora"))
        assert label == "lora against none" and before.value == pytest.approx(base[0]) and not before.seeds
        assert (after.value, after.sd, after.seeds) == pytest.approx((mean(tuned), stdev(tuned), 3))
        assert difference.value == pytest.approx(mean(tuned) - base[0])
        assert difference.sd == pytest.approx(stdev(tuned)) and difference.seeds == 3
        assert difference.low < difference.value < difference.high
        assert (reads.text == "no difference shown") == (difference.low <= 0 <= difference.high)
    of_seed = evidence_of_seeds({2: tables_of_seeds[2]})
    _, alone = EXHIBITS["repair-lora-against-none"].draw(of_seed).tables
    assert {row.labels for row in alone.rows} == {row.labels for row in cases.rows}
    assert any(abs(a.cells[1].value - b.cells[1].value) > 1 for a, b in zip(alone.rows, cases.rows, strict=True))


@pytest.mark.slow
def test_the_interval_of_several_seeds_is_that_of_the_mean_over_seeds(tables_of_seeds):
    pooled = EXHIBITS["repair-lora-against-ia3"].draw(evidence_of_seeds(tables_of_seeds)).tables[1]
    alone = [
        EXHIBITS["repair-lora-against-ia3"].draw(evidence_of_seeds({seed: table})).tables[1]
        for seed, table in tables_of_seeds.items()
    ]
    for at, row in enumerate(pooled.rows):
        found, of_seeds = row.cells[2], [table.rows[at].cells[2] for table in alone]
        ends = [Interval(one.low, one.high) for one in of_seeds]
        widest = mean_over_seeds([one.value for one in of_seeds], ends, SETS[row.labels[3]])
        assert found.value == pytest.approx(widest.mean)
        assert widest.low - 1e-9 <= found.low and found.high <= widest.high + 1e-9


@pytest.fixture(scope="module")
def lacking(tables_of_seeds):
    """The verdicts of three seeds, but LoRA has those of the second alone."""
    return {seed: of if seed == 2 else of[of["recipe"] != "lora"] for seed, of in tables_of_seeds.items()}


@pytest.mark.slow
def test_a_case_of_fewer_seeds_says_how_many_its_models_share(lacking, tables_of_seeds):
    of_sweep = evidence_of_seeds(lacking)
    sums, cases = EXHIBITS["repair-lora-against-ia3"].draw(of_sweep).tables
    assert "A case is over the seeds that both of its models have." in sums.caption
    assert "A case is over the seeds that both of its models have." in cases.caption
    alone = EXHIBITS["repair-lora-against-ia3"].draw(evidence_of_seeds({2: tables_of_seeds[2]})).tables[1]
    for row, of_seed in zip(cases.rows, alone.rows, strict=True):
        for cell, same in zip(row.cells[:3], of_seed.cells[:3], strict=True):
            assert (cell.note, cell.seeds) == ("1 of 3 seeds", 1) and not cell.spread and not same.note
            assert (cell.text, cell.interval) == (same.text, same.interval)
    (regimes,) = EXHIBITS["repair-regimes"].draw(of_sweep).tables
    assert "1 of 3 seeds" in {cell.note for row in regimes.rows for cell in row.cells if row.labels[2] == "lora"}

    two = {**lacking, 3: tables_of_seeds[3]}
    base, lora, difference, *_ = (
        EXHIBITS["repair-lora-against-none"].draw(evidence_of_seeds(two)).tables[1].rows[0].cells
    )
    assert lora.note == difference.note == "mean over 2 of 3 seeds" and lora.seeds == 2 and not base.note
    full = EXHIBITS["repair-full-below-none"].draw(evidence_of_seeds(two)).tables
    assert not any("seeds that both" in table.caption for table in full)
    assert not any("seeds" in cell.note for table in full for row in table.rows for cell in row.cells)


def test_a_base_has_a_case_with_all_seeds_on_either_side(tables_of_seeds):
    exhibit, of_sweep = EXHIBITS["repair-lora-against-none"], evidence_of_seeds(tables_of_seeds)
    reverse = exhibit.model_copy(update={"regime": "none", "against": "lora"})
    cases, reversed_cases = (one.draw(of_sweep).tables[1] for one in (exhibit, reverse))
    assert len(cases.rows) == len(reversed_cases.rows) == 2 * len(SETS)
    for row, other in zip(cases.rows, reversed_cases.rows, strict=True):
        (base, lora, difference, *_), (first, second, less, *_) = row.cells, other.cells
        assert (first.text, first.spread, second.text, second.seeds) == (lora.text, lora.spread, base.text, 0)
        assert (less.value, less.sd, less.seeds) == pytest.approx((-difference.value, difference.sd, 3))


@pytest.mark.slow
def test_sizes_are_compared_over_the_seeds_that_all_models_have():
    names = ("codegen-350m", "codegen-2b", "codegen-6b")
    tables = {seed: verdicts(names, seed=f" {seed}") for seed in (1, 2, 3)}
    tables[3] = tables[3][tables[3]["model"] != "codegen-2b"]
    found = trainings_of_seeds(trainings(names))
    drawn = EXHIBITS["repair-sizes"].draw(evidence_of_seeds(tables, trainings=found))
    without = {seed: tables[seed] for seed in (1, 2)}
    expected = EXHIBITS["repair-sizes"].draw(evidence_of_seeds(without, trainings=found))
    assert [one.panels for one in drawn.figures] == [one.panels for one in expected.figures]
    for table, other in zip(drawn.tables, expected.tables, strict=True):
        assert texts(table) == texts(other)
        notes = {row.labels[2]: {cell.note for cell in row.cells[3:6]} for row in table.rows}
        assert notes.pop("none") == {""} and all(of == {"mean over 2 of 3 seeds"} for of in notes.values())
    said = "are compared over the seeds that all of them have"
    assert all(said in one.caption for one in (*drawn.tables, *drawn.figures))
    assert not any(said in one.caption for one in (*expected.tables, *expected.figures))


def test_sizes_without_a_seed_in_common_are_not_compared(tables_of_seeds):
    tables = {
        seed: of[(of["recipe"] != "lora") | (of["model"] == name)]
        for (seed, of), name in zip(tables_of_seeds.items(), ("codegen-350m", "codegen-2b", ""), strict=True)
    }
    found = trainings_of_seeds(trainings(("codegen-350m", "codegen-2b")))
    drawn = EXHIBITS["repair-sizes"].draw(evidence_of_seeds(tables, trainings=found))
    assert {row.labels[2] for table in drawn.tables for row in table.rows} == {"none", "full", "ia3"}


def test_seeds_that_stand_for_themselves_have_a_row_each(tables_of_seeds):
    of_sweep = evidence_of_seeds(tables_of_seeds, each_seed=True)
    (regimes,) = EXHIBITS["repair-regimes"].draw(of_sweep).tables
    labels = [row.labels[2] for row in regimes.rows]
    assert labels[:4] == ["none", "full · seed 1", "full · seed 2", "full · seed 3"] and len(labels) == 20
    _, cases = EXHIBITS["repair-lora-against-ia3"].draw(of_sweep).tables
    assert cases.rows[0].labels[2] == "lora · seed 1 against ia3 · seed 1"


def test_sizes_of_several_seeds_are_those_of_one_model(tables_of_seeds):
    found = trainings_of_seeds(trainings(("codegen-350m", "codegen-2b")))
    of_sweep = evidence_of_seeds(tables_of_seeds, trainings=found)
    drawn = EXHIBITS["repair-sizes"].draw(of_sweep)
    assert {row.labels[2] for table in drawn.tables for row in table.rows} == {"none", "full", "lora", "ia3"}
