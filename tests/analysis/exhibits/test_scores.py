"""The tables of a sweep's scores: summaries of each model, and comparisons over models."""

import math
from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.tables.score_book import Failure, Order, ScoreBook
from raysweep.analysis.tables.table import Table
from tests.analysis.examples import ORDER, PASS, PERTURBATIONS, TRAINING_SETS, score, scores
from tests.analysis.examples import score_tables as tables
from tests.analysis.exhibits.examples import EXHIBITS


def table(title: str, subset=None, order=ORDER, failures=()) -> Table:
    known = scores() if subset is None else subset
    in_files = EXHIBITS["perturbed"].draw(Evidence(ScoreBook.of(known, order, failures))).tables
    return next(t for t in (*tables(known, order, failures), *in_files) if t.title == title)


def cells(table: Table, *labels: str):
    row = next(row for row in table.rows if row.labels == labels)
    return dict(zip((column.full_name for column in table.columns), row.cells, strict=True))


def test_a_sweep_has_its_tables_in_reading_order():
    assert [t.title for t in tables(scores(), ORDER)] == [
        "llama on minicode",
        "gpt_bigcode on minicode",
        "pass@1 clean on minicode (%)",
        "RD on minicode",
        "RD over the prompts that changed and compile, minicode (%)",
        "Test sets of minicode",
    ]


def test_every_pass_at_1_and_rd_of_the_scores_stands_in_its_place_in_percent():
    clean, perturbed, rd = (
        table(t) for t in ("pass@1 clean on minicode (%)", "pass@1 perturbed on minicode (%)", "RD on minicode")
    )
    for (model, training_set), values in PASS.items():
        assert cells(clean, model)[training_set].value == pytest.approx(100 * values[0])
        summary = cells(table(f"{model} on minicode"), training_set)
        assert summary["pass@1 (%) clean"].text == f"{100 * values[0]:.1f}"
        for name, value in zip(PERTURBATIONS[1:], values[1:], strict=True):
            assert cells(perturbed, name, model)[training_set].value == pytest.approx(100 * value)
            share = 100 * (values[0] - value) / values[0]
            assert cells(rd, name, model, "RD (%)")[training_set].value == pytest.approx(share)
            assert summary[f"RD (%) {name}"].text == f"{share:.1f}"


def test_beside_every_rd_stand_the_perturbed_pass_at_1_and_its_paired_difference():
    rd = table("RD on minicode")
    assert cells(rd, "C", "llama", "RD (%)")["base"].text == "47.1"
    assert cells(rd, "C", "llama", "pass@1 (%)")["base"].text == "46.3"
    assert cells(rd, "C", "llama", "difference (points)")["base"].text == "−41.2"
    summary = cells(table("llama on minicode"), "base")
    assert (summary["RD (%) C"].text, summary["pass@1 (%) C"].text) == ("47.1", "46.3")
    assert summary["difference (points) C"].text == "−41.2"
    assert "swapped characters (C2) 13/0" in rd.caption


def test_training_sets_come_in_config_order_but_base_and_clean_first():
    order = replace(ORDER, training_sets=("C", "clean", "C1"))
    assert [c.name for c in table("pass@1 clean on minicode (%)", order=order).columns] == ["base", "clean", "C", "C1"]


def test_names_that_only_the_scores_know_come_last():
    extra = score("llama", "W", "W1", "pass@1", 0.5)
    result = table("pass@1 perturbed on minicode (%)", [*scores(), extra])
    assert result.columns[-1].name == "W"
    assert result.rows[-1].labels[0] == "W1"


def test_an_undefined_number_is_a_dash_with_its_reason_below():
    subset = [s for s in scores() if (s.training_set, s.metric, s.perturbation) != ("C", "RD", "C")]
    lost = score("llama", "C", "C", "RD", math.nan, note="clean pass@1 is 0")
    rd = table("RD on minicode", [*subset, lost])
    cell = cells(rd, "C", "llama", "RD (%)")["C"]
    assert (cell.text, rd.mark(cell), rd.footnotes) == ("–", "1", ("clean pass@1 is 0",))


def test_a_failed_cell_says_so_and_an_absent_one_is_missing():
    failure = Failure("gpt_bigcode", "lora", "C1", 42, "\nOut of memory in step 3\nTraceback ...")
    result = cells(table("pass@1 clean on minicode (%)", failures=[failure]), "gpt_bigcode")
    assert result["C1"].text == "failed"
    assert result["C2"].text == "missing"


def test_a_pair_that_the_rule_leaves_out_is_blank_and_not_missing():
    subset = [s for s in scores() if (s.training_set, s.perturbation) != ("C", "C3")]
    assert cells(table("pass@1 perturbed on minicode (%)", subset), "C3", "llama")["C"].text == ""


def test_a_failed_model_without_any_score_has_a_row():
    failure = Failure("gpt_bigcode", "none", "base", 42, "no such checkpoint")
    result = table("pass@1 clean on minicode (%)", [s for s in scores() if s.model == "llama"], failures=[failure])
    row = cells(result, "gpt_bigcode")
    assert [row[name].text for name in ("base", "clean")] == ["failed", "missing"]


def test_seeds_and_recipes_get_rows_of_their_own_that_share_the_base_model():
    again = [
        replace(s, seed=43, value=s.value / 2) for s in scores() if s.training_set != "base" and s.model == "llama"
    ]
    result = table("pass@1 clean on minicode (%)", [*scores(), *again])
    assert [row.labels[0] for row in result.rows] == ["llama · seed 42", "llama · seed 43", "gpt_bigcode"]
    assert cells(result, "llama · seed 43")["C"].value == pytest.approx(43.75)
    assert cells(result, "llama · seed 43")["base"].value == cells(result, "llama · seed 42")["base"].value


def test_the_test_sets_table_counts_prompts_and_shows_a_range_where_models_differ():
    result = table("Test sets of minicode", [*scores(), score("llama", "C", "C1", "rows_unchanged", 4.0)])
    assert [cell.text for cell in cells(result, "C2").values()] == ["240", "13", "0"]
    assert cells(result, "C1")["unchanged"].text == "0–4"


def test_small_differences_are_not_written_as_minus_zero():
    small = [score("llama", "base", "C", metric, v) for metric, v in (("drop", -0.0001), ("RD", -0.0301))]
    result = table("RD on minicode", small, Order())
    assert cells(result, "C", "llama", "difference (points)")["base"].text == "0.0"
    assert cells(result, "C", "llama", "RD (%)")["base"].text == "−3.0"


def test_rd_over_all_and_over_valid_prompts_stand_side_by_side():
    title = "RD over prompts that still ask for the task, minicode (%)"
    rated = score("llama", "base", "C2", "RD_valid", 0.125, n=50, note="50 of 60 rated prompts are valid")
    result = table(title, [*scores(), rated])
    assert cells(result, "C2", "llama", "RD (%)", "valid")["base"].text == "12.5"
    for quantity in ("RD (%)", "pass@1 (%)", "difference (points)"):
        of_all = cells(table("RD on minicode"), "C2", "llama", quantity)
        assert cells(result, "C2", "llama", quantity, "all") == of_all
    assert {row.labels[0] for row in result.rows} == {"C2"}
    assert title not in [one.title for one in tables(scores(), ORDER)]


def test_no_scores_give_no_tables():
    assert tables([], Order(training_sets=TRAINING_SETS)) == []


def test_tables_of_several_draws_say_what_their_numbers_are():
    said = "Perturbed numbers are means over 5 draws of each perturbation."
    assert said in table("RD on minicode", order=replace(ORDER, draws=5)).caption
    assert "draws" not in table("RD on minicode").caption


def test_pass_at_1_of_a_part_of_the_tests_stands_below_that_of_all_tests():
    subset = scores() + [score("llama", "base", name, "pass@1 base", 0.9) for name in PERTURBATIONS]
    clean, perturbed = (table(f"pass@1 {name} on minicode (%)", subset) for name in ("clean", "perturbed"))
    assert clean.stub == ("model", "tests") and perturbed.stub == ("perturbation", "model", "tests")
    assert cells(clean, "llama", "all")["base"].text == "87.5"
    assert cells(clean, "llama", "base")["base"].text == "90.0"
    assert cells(perturbed, "C", "llama", "base")["base"].text == "90.0"
    assert cells(table("llama on minicode", subset), "base")["pass@1 base (%) clean"].text == "90.0"
    assert "only the part base" in clean.caption
