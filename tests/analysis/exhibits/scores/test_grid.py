"""Tables of scores: the study's own from its printed numbers, and what is left out of smaller sweeps."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest
from pydantic import ValidationError

from raysweep.analysis.exhibits.base import NothingToDraw
from raysweep.analysis.exhibits.scores.grid import ScoreGrid
from raysweep.analysis.tables.frame import Failure
from raysweep.analysis.tables.order import RecipeChoice, RowChoice
from tests.analysis.exhibits.examples import EXHIBITS, PRINTED, cells, printed_scores, score, study, tables

HEADINGS = {"pass@1": "pass@1 (%)", "RD": "RD (%)"}
OF_ALL_MODELS, OF_ONE = (2, 3, 4), (7, 8, 10, 11)


@pytest.mark.parametrize("number", [*OF_ALL_MODELS, *OF_ONE])
def test_a_table_of_the_study_comes_out_of_its_printed_numbers(number):
    drawn = {table.title: cells(table) for table in tables(f"table-{number}", study())}
    printed = [one for one in PRINTED if one.table == number]
    for one in printed:
        of_model = [rows for title, rows in drawn.items() if number in OF_ALL_MODELS or f", {one.model}, " in title]
        (rows,) = of_model
        label = one.model if number in OF_ALL_MODELS else one.perturbation
        found = rows.get((label,)) or rows[(label, HEADINGS[one.metric])]
        assert Decimal(found[one.training_set].replace("−", "-")) == Decimal(one.percent), one
    assert len(printed) == {2: 18, 3: 18, 4: 18, 7: 30, 8: 24, 10: 20, 11: 15}[number]


@pytest.mark.parametrize(
    ("number", "averages"),
    [(2, (26.1, 30.9, 29.9)), (3, (6.2, 26.3, 26.8)), (4, (78.2, 12.8, 8.2))],
)
def test_the_means_are_the_averages_of_the_studys_text(number, averages):
    (table,) = tables(f"table-{number}", study())
    (means,) = [row for row in table.rows if row.labels in (("mean",), ("mean", "RD (%)"))]
    assert [cell.value for cell in means.cells] == pytest.approx(averages, abs=0.051)


def test_a_table_of_one_model_is_drawn_for_each():
    titles = [table.title for table in tables("table-7", study())]
    assert len(titles) == 6
    assert titles[0] == "pass@1 by mix, starcoderbase-1b, humaneval (%)"
    assert tables("table-7", study())[0].name == "table-7-starcoderbase-1b-humaneval"


def test_pass_rates_and_their_differences_stand_below_an_rd():
    scores = [*printed_scores(), score("deepseek-coder", "clean", "mix_all", "drop", -0.063)]
    rows = cells(tables("table-4", study(scores))[0])
    assert rows["deepseek-coder", "pass@1 (%)"]["mix_all"] == "42.4"
    assert rows["deepseek-coder", "difference (points)"]["clean"] == "−6.3"


def test_the_caption_names_a_word_that_is_misspelt():
    own = EXHIBITS["table-4"].model_copy(
        update={"quantities": {"RD": 1, "RDD": 1}, "training_sets": ["base", "clean", "headlin"]}
    )
    caption = own.draw(study()).tables[0].caption
    assert "It has no metric RDD (did you mean 'RD'?)." in caption
    assert "It has no training set of headlin (did you mean 'headline'?)." in caption


def test_the_caption_names_what_the_sweep_lacks():
    kept = ("base", "clean", "C")
    scores = [one for one in printed_scores() if one.training_set in kept and one.perturbation in ("clean", "C", "C1")]
    evidence = study(scores, training_sets=kept, perturbations=("clean", "C1", "C"), mixes=("C",))
    (table,) = tables("table-10", evidence)
    assert "This sweep evaluates nothing on C2 or C3. It has no training set of C1 or C2 or C3." in table.caption
    assert list(cells(table)) == [("clean",), ("C1",)] and [column.name for column in table.columns] == [
        "base",
        "clean",
    ]
    (by_mix,) = tables("table-7", evidence)
    assert "This sweep" not in by_mix.caption and cells(by_mix)["C",] == {"base": "2.3", "clean": "14.3", "C": "15.6"}


def test_a_training_set_is_found_by_its_perturbation_not_by_its_name():
    scores = [score("m", "all of them", "mix_all", "RD", 0.1), score("m", "mix_all", "mix_all", "RD", 0.9)]
    order = {
        "models": ("m",),
        "training_sets": ("mix_all", "all of them"),
        "trained_with": {"all of them": "mix_all", "mix_all": "mix_all"},
        "rows": {"mix_all": RowChoice(ratio=0.1), "all of them": RowChoice()},
    }
    (table,) = tables("table-4", study(scores, **order))
    assert cells(table)["m", "RD (%)"] == {"all of them": "10.00"}


def test_a_metric_that_the_sweep_lacks_is_named_with_the_nearest_one():
    with pytest.raises(NothingToDraw, match=r"no metric 'pas@1' \(did you mean 'pass@1'"):
        EXHIBITS["table-2"].model_copy(update={"quantities": {"pas@1": 1}}).draw(study())


def test_a_sweep_of_one_model_has_no_row_of_means():
    scores = [one for one in printed_scores() if one.model == "codegen-2b"]
    (table,) = tables("table-2", study(scores, models=("codegen-2b",)))
    assert list(cells(table)) == [("codegen-2b",)]


def test_failed_missing_and_undefined_numbers_say_so_and_the_mean_counts_the_others():
    gone = {("deepseek-coder", "mix_all"), ("codegen-2b", "mix_all"), ("codegen-2b", "clean")}
    scores = [one for one in printed_scores() if (one.model, one.training_set) not in gone]
    scores.append(score("codegen-2b", "mix_all", "mix_all", "RD", math.nan, note="clean pass@1 is 0"))
    (table,) = tables("table-4", study(scores, [Failure("deepseek-coder", "full", "mix_all", 42, "boom")]))
    rows = cells(table)
    assert rows["deepseek-coder", "RD (%)"]["mix_all"] == "failed"
    assert rows["codegen-2b", "RD (%)"] == {"base": "67.13", "clean": "missing", "mix_all": "–"}
    assert rows["mean", "RD (%)"]["mix_all"] == "9.41"
    assert {"clean pass@1 is 0", "mean of 4 of 6 models"} <= set(table.footnotes)


def test_in_the_mean_a_model_of_several_recipes_and_seeds_weighs_no_more_than_others():
    values = {("one", "full", 1): 0.1, ("one", "full", 2): 0.3, ("one", "lora", 1): 0.5, ("two", "full", 1): 0.9}
    scores = [
        score(model, "clean", "clean", "pass@1", value, recipe=recipe, seed=seed)
        for (model, recipe, seed), value in values.items()
    ]
    evidence = study([*scores, score("one", "mix_all", "clean", "pass@1", 0.2, seed=1)], models=("one", "two"))
    (table,) = tables("table-2", evidence)
    assert (cells(table)["mean",]["clean"], cells(table)["mean",]["mix_all"]) == ("60.0", "20.0")
    assert "In the mean all models weigh the same, however many recipes and seeds they have." in table.caption
    assert "mean of 1 of 2 models; without 2 numbers of a recipe or seed" in table.footnotes


SETTINGS = {
    "id": "own", "title": "Mine", "rows": ["model", "regime"], "columns": ["problem set", "test set", "quantity"],
    "training_sets": ["all"], "test_sets": ["clean", "C1"], "quantities": {"pass@1": 0},
}  # fmt: skip


def own(**changed: object) -> ScoreGrid:
    return ScoreGrid.model_validate({**SETTINGS, **changed})


RECIPES = {name: RecipeChoice("sft", trainer=name.partition("-")[0]) for name in ("lora", "lora-2", "full", "dpo")}
TUNED = [
    score(model, training_set, test, "pass@1", 0.5, recipe=recipe)
    for model, recipes in {"one": ("none", "lora", "lora-2", "dpo"), "two": ("none", "full", "lora")}.items()
    for recipe in recipes
    for training_set in (["base"] if recipe == "none" else ["clean"])
    for test in ("clean", "C1")
]


def test_models_stand_by_regime_with_the_recipe_where_a_regime_has_several():
    (table,) = own().draw(study(TUNED, recipes=RECIPES, words={"C1": "typos"})).tables
    assert [row.labels for row in table.rows] == [
        ("one", "none"), ("one", "lora · lora"), ("one", "lora · lora-2"),
        ("two", "none"), ("two", "full"), ("two", "lora"),
    ]  # fmt: skip
    assert "This sweep has no model of ia3." in table.caption


def test_of_two_headings_above_a_column_clean_is_left_out():
    (table,) = own().draw(study(TUNED, recipes=RECIPES, words={"C1": "typos"})).tables
    assert [column.full_name for column in table.columns] == [
        "humaneval pass@1 (%)",
        "humaneval, typos (C1) pass@1 (%)",
    ]


def test_numbers_of_a_block_beside_others_stand_in_the_tables_of_their_test_sets():
    more = {"test_sets": ["C1", "C2"], "quantities": {"RD": 0}}
    exhibit = own(
        rows=["model"], columns=["quantity"], training_sets=["clean"], test_sets=["clean"], beside=True, more=[more]
    )
    scores = [score("m", "clean", "clean", "pass@1", 0.5)]
    scores += [score("m", "clean", test, "RD", value) for test, value in (("C1", 0.1), ("C2", 0.2))]
    drawn = exhibit.draw(study(scores, models=("m",))).tables
    assert {table.name: cells(table)["m",] for table in drawn} == {
        "own-c1-humaneval": {"pass@1 (%)": "50", "RD (%)": "10"},
        "own-c2-humaneval": {"pass@1 (%)": "50", "RD (%)": "20"},
    }
    (alone,) = exhibit.draw(study(scores[:1], models=("m",), perturbations=("clean",))).tables
    assert cells(alone)["m",] == {"pass@1 (%)": "50"}


def test_families_are_of_any_models():
    families = {"Singles": ["one"], "Others": ["t*"]}
    exhibit = own(rows=["family", "model", "regime"], training_sets=["base"], families=families)
    (table,) = exhibit.draw(study(TUNED)).tables
    assert [row.labels for row in table.rows] == [("Singles", "one", "none"), ("Others", "two", "none")]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "Test prompts: neighbouring keys (C1)."),
        ({"title": "Scores on C1"}, ""),
        ({"caption": "On {test set}."}, "On neighbouring keys (C1)."),
        ({"test_sets": ["clean"]}, "Test prompts: clean."),
        ({"test_sets": ["clean"], "caption": "On unperturbed prompts.", "whole": True}, "On unperturbed prompts."),
        ({"columns": ["test set"]}, ""),
        (
            {"models": ["one", "tow", "co*"]},
            "Test prompts: neighbouring keys (C1). It has no model tow or co*.",
        ),
    ],
)
def test_a_caption_names_the_test_set_unless_it_is_named_already_and_the_models_that_there_are_not(changed, said):
    keys = {"rows": ["model"], "columns": ["training set"], "training_sets": ["base"], "test_sets": ["C1"]} | changed
    (table,) = own(**keys).draw(study(TUNED, words={"C1": "neighbouring keys"}, models=("one", "two"))).tables
    assert table.caption == said


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"training_sets": ["C1"]}, "no training set of C1; it has base, clean$"),
        ({"test_sets": ["hedline"]}, "no model on perturbed prompts of hedline; its test sets are clean, C1$"),
        ({"models": ["tow"]}, r"no model tow \(did you mean 'two'\?\); it has one, two$"),
    ],
)
def test_what_a_definition_names_and_the_sweep_has_not_is_said_beside_what_it_has(changed, said):
    evidence = study(TUNED, models=("one", "two"), training_sets=("base", "clean"), perturbations=("clean", "C1"))
    keys = {"rows": ["model"], "columns": ["test set"], "training_sets": ["clean"], "test_sets": ["clean"]}
    with pytest.raises(NothingToDraw, match=said):
        own(**keys | changed).draw(evidence)
    assert own(**keys).draw(evidence).tables


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        (
            "title",
            "{modle}",
            r"nothing fills {modle} in the title \(did you mean 'model'\?\); it may have {headline}, ",
        ),
        ("title", "{draws}", "nothing fills {draws} in the title"),
        ("caption", "{problem set}", r"nothing fills {problem set} in the caption \(it is among rows and columns\)"),
    ],
)
def test_what_stands_between_braces_is_filled(key, text, said):
    with pytest.raises(ValidationError, match=said):
        own(rows=["training set"], **{key: text})
    (table, *_) = (
        own(rows=["training set"], title="{model} and {headline}", caption="{draws} {headline}")
        .draw(study(TUNED))
        .tables
    )
    assert table.title.startswith("one") and "{" not in table.title + table.caption


@pytest.mark.parametrize("named", ["recipe", "training set"])
def test_a_regime_stands_beside_no_recipe_and_no_training_set(named):
    with pytest.raises(ValidationError, match=f"leave '{named}' out"):
        own(rows=["model", "regime", named])
