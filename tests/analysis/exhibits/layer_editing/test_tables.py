"""The tables of edits: what is restored, other blocks, costs, how edits ended, rewritten prompts."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean, stdev

import pytest

from raysweep.analysis.exhibits.base import EDIT_ROWS, EDITS, NothingToDraw
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.exhibits.edits import BaseRates
from raysweep.analysis.tables.table import to_csv
from raysweep.metrics.restoration import NOTHING_LOST, NOTHING_PASSED
from tests.analysis.exhibits.layer_editing.examples import (
    EDITORS,
    ended,
    evidence,
    made,
    pooled,
    rewritten,
    texts,
    two_seeds,
)

EXHIBITS = read_exhibits()
CREME_LACKS = "minicode-C2-pair2"
TABLES = ("repairs", "repairs-by-category", "edit-places", "edit-costs", "rewritten-prompts", "edit-ends", "edits")


@pytest.fixture(scope="module")
def all_of_it():
    return evidence(rewritten=rewritten())


def table_of(id, of_sweep):
    return EXHIBITS[id].draw(of_sweep).tables[0]


def test_every_method_has_a_row_for_each_category_and_rewriting_one_beside_the_editors(all_of_it):
    shown = texts(table_of("repairs-by-category", all_of_it))
    assert shown["llama", "C1", "creme"]["edits"] == "5"
    assert shown["llama", "C2", "creme"]["edits"] == "4 of 5"
    row = shown["llama", "C1", "self-denoising"]
    assert (row["edits"], row["restored (%)"]) == ("", "0.0")  # it left every prompt as it was
    assert row["pass@1 (%) base, perturbed"] == row["pass@1 (%) repaired"]
    labels = list(shown)
    at = labels.index(("llama", "C1", "self-denoising"))
    assert labels[at - 1][1] == "C1" and labels[at + 1][1] == "C2"


def test_first_stands_a_row_for_each_method_over_all_categories(all_of_it):
    shown = texts(table_of("repairs", all_of_it))
    assert list(shown)[:6] == [("llama", name) for name in (*EDITORS, "self-denoising")]
    assert shown["llama", "creme"]["edits"] == "14 of 15"
    by_category = texts(table_of("repairs-by-category", all_of_it))
    of_three = [
        float(by_category["llama", name, "self-denoising"]["pass@1 (%) repaired"]) for name in ("C1", "C2", "C3")
    ]
    assert float(shown["llama", "self-denoising"]["pass@1 (%) repaired"]) == pytest.approx(sum(of_three) / 3, abs=0.1)


def test_methods_without_some_pairs_are_compared_on_the_pairs_that_all_have(all_of_it):
    table = table_of("repairs", all_of_it)
    shown = texts(table)
    random = shown["llama", "creme-random"]  # has the pair that CREME did not reproduce
    assert random["edits"] == "15" and random["restored, shared pairs (%)"] != random["restored (%)"]
    assert shown["llama", "creme"]["restored, shared pairs (%)"] == shown["llama", "creme"]["restored (%)"]
    assert "over 14 shared pairs" in table.footnotes
    alone = texts(table_of("repairs", evidence([e for e in made(["llama"]) if e.cell.training_set != CREME_LACKS])))
    assert alone["llama", "creme-random"]["restored (%)"] == random["restored, shared pairs (%)"]
    assert "restored, shared pairs (%)" not in alone["llama", "creme"]  # nothing to compare


def test_edits_of_other_seeds_share_no_pair():
    edits = [e for e in made(["llama"]) if e.cell.recipe == "rome"]
    later = [replace(edit, cell=replace(edit.cell, seed=43)) for edit in edits[:3]]
    assert (
        "restored, shared pairs (%)"
        not in texts(table_of("repairs", evidence([*edits, *later])))["llama", "rome · seed 42"]
    )


def test_edits_of_several_seeds_are_one_row_with_the_spread_between_the_seeds():
    edits = two_seeds(["llama"])
    table = table_of("repairs", pooled(evidence(edits)))
    of_seeds = [table_of("repairs", evidence(of)) for of in (edits[: len(edits) // 2], edits[len(edits) // 2 :])]
    row, *seeds = (
        {
            c.full_name: cell
            for r in of.rows
            if r.labels[1] == "rome"
            for c, cell in zip(of.columns, r.cells, strict=True)
        }
        for of in (table, *of_seeds)
    )
    assert [row.labels[1] for row in table.rows] == list(EDITORS) and row["edits"].text == "30"
    for name in ("pass@1 (%) repaired", "relative gain (%)", "restored (%)", "clean pass@1 change (points)"):
        values = [seed[name].value for seed in seeds]
        assert (row[name].value, row[name].sd) == pytest.approx((mean(values), stdev(values)), abs=1e-9), name
        assert row[name].seeds == 2 and row[name].spread.startswith("SD "), name
    assert not row["pass@1 (%) base, perturbed"].seeds
    assert "its interval is over seeds, too" in table.caption
    creme = texts(table)["llama", "creme-random"]["restored, shared pairs (%)"]
    assert creme != "–" and "over 29 shared pairs" in table.footnotes


def test_a_seed_that_one_method_lacks_has_no_shared_pair_in_a_row_of_all_seeds():
    edits = [e for e in two_seeds(["llama"]) if (e.cell.recipe, e.cell.seed) != ("dinm", 43)]
    table = table_of("repairs", pooled(evidence(edits)))
    at = [column.full_name for column in table.columns].index("restored, shared pairs (%)")
    cells = {row.labels[1]: row.cells[at] for row in table.rows}
    assert all(cell.note.startswith("over 14 shared pairs") for cell in cells.values())
    says = {
        method for method, cell in cells.items() if "without the seed 43: not all methods share a pair" in cell.note
    }
    assert says == set(EDITORS) - {"dinm"} and not any(cell.seeds for cell in cells.values())
    first = table_of("repairs", evidence([e for e in edits if e.cell.seed == 42]))
    assert {r.labels[1]: r.cells[at].text for r in first.rows} == {name: cell.text for name, cell in cells.items()}
    alone = [e for e in edits if (e.cell.recipe, e.cell.seed) != ("rome", 42)]
    assert "no pair has an edited model of each method" in table_of("repairs", pooled(evidence(alone))).footnotes


def test_edits_of_each_seed_have_a_row_on_demand():
    shown = evidence(two_seeds(["llama"]), rewritten=two_rewritings())
    labels = [row.labels for row in table_of("repairs", shown).rows]
    methods = [*EDITORS, "self-denoising"]
    assert set(labels) == {("llama", f"{method} · seed {seed}") for method in methods for seed in (42, 43)}
    places = [row.labels[-1] for row in table_of("edit-places", shown).rows]
    assert {label.partition(" · ")[2] for label in places} == {"seed 42", "seed 43"}
    counts = [row.labels[1] for row in table_of("rewritten-prompts", shown).rows]
    assert set(counts) == {"llama · seed 42", "llama · seed 43"}


def two_rewritings():
    """What llama rewrote with two seeds; the second undoes half of what each perturbation lost."""
    first = rewritten(["llama"])
    half = [
        replace(
            one,
            cell=replace(one.cell, seed=43),
            reasons=one.reasons | {"accepted": 14},
            rates={t: (r + one.base.clean[t]) / 2 for t, r in one.rates.items()},
        )
        for one in first
    ]
    return [*first, *half]


def test_rewriting_with_several_seeds_is_one_row():
    shown = pooled(evidence([], rewritten=two_rewritings()))
    table = table_of("repairs", shown)
    (row,) = table.rows
    restored = row.cells[[column.full_name for column in table.columns].index("restored (%)")]
    assert (restored.text, restored.spread, restored.seeds) == ("25.0", "SD 35.4", 2)
    assert restored.low < 0 < 50 < restored.high, "two seeds that differ say little"
    counts = texts(table_of("rewritten-prompts", shown))["minicode", "llama", "C1"]
    assert counts["accepted"] == "13.0" and counts["empty"] == "40"


def test_other_tables_of_edits_have_one_row_for_all_seeds():
    shown, once = pooled(evidence(two_seeds())), evidence()
    for id in ("repairs-by-category", "edit-places", "edit-costs", "edit-ends", "block-heat", "block-map"):
        table, of_one = table_of(id, shown), table_of(id, once)
        assert [row.labels for row in table.rows] == [row.labels for row in of_one.rows], id
        says_of_seeds = "p is too small where seeds have the same problems" in table.caption
        assert says_of_seeds == (id == "block-map") and "p is too small" not in of_one.caption
    found = texts(table_of("edit-places", shown))["llama", "all categories", "creme, found (l*)"]
    assert found["edits"] == "29 of 30"


def test_the_relative_gain_is_of_the_same_accuracies_and_undefined_where_nothing_passed():
    edit = replace(made(["llama"])[0], base=BaseRates({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, {}), task_id="e")
    half = replace(edit, base=replace(edit.base, perturbed={"a": 1.0, "b": 1.0, "c": 0.0, "d": 0.0}),
                   perturbed={"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0})  # fmt: skip
    none = replace(half, base=replace(edit.base, perturbed=dict.fromkeys("abcd", 0.0)))
    assert texts(table_of("repairs", evidence([half])))["llama", "creme"]["relative gain (%)"] == "+50.0"
    table = table_of("repairs", evidence([none]))
    assert texts(table)["llama", "creme"]["relative gain (%)"] == "–"
    assert f"undefined: {NOTHING_PASSED}" in table.footnotes
    rewriter = replace(rewritten(["llama"])[1], base=half.base, rates=half.perturbed)
    row = texts(table_of("repairs", evidence([], rewritten=[rewriter])))["llama", "self-denoising"]
    assert row["relative gain (%)"] == "+50.0"


def test_with_minicode_the_report_says_that_it_says_nothing_about_real_models(all_of_it):
    said = "MiniCode is a toy for trying raysweep out: its numbers say nothing about real models."
    for id in ("repairs", "edit-places"):
        assert said in table_of(id, all_of_it).caption
    others = evidence([replace(edit, problem_set="humaneval") for edit in made(["llama"])])
    assert "MiniCode" not in table_of("repairs", others).caption


def test_lora_is_said_to_be_plain_where_it_edits(all_of_it):
    assert "lora-edit: plain LoRA; what EasyEdit calls LoRA is AdaLoRA" in table_of("repairs", all_of_it).caption
    others = evidence([edit for edit in made(["llama"]) if edit.editor != "lora_edit"])
    assert "LoRA" not in table_of("repairs", others).caption


def test_rewriting_that_undoes_the_perturbation_restores_all_and_undefined_has_its_reason():
    one = next(one for one in rewritten(["llama"]) if one.perturbation == "C1")
    undone = replace(one, rates=one.base.clean)
    harmless = replace(one, base=BaseRates(one.base.clean, one.base.clean))
    shown = table_of("repairs", evidence([], rewritten=[undone]))
    assert texts(shown)["llama", "self-denoising"]["restored (%)"] == "100.0"
    table = table_of("repairs", evidence([], rewritten=[harmless]))
    assert texts(table)["llama", "self-denoising"]["restored (%)"] == "–"
    assert table.footnotes == (NOTHING_LOST,)


def test_the_block_that_was_found_is_compared_with_a_random_one_pair_by_pair(all_of_it):
    shown = texts(table_of("edit-places", all_of_it))
    found, drawn = (shown["llama", "all categories", f"creme, {place}"] for place in ("found (l*)", "random"))
    assert (found["edits"], drawn["edits"]) == ("14 of 15", "15")
    assert found["minus random (points)"].startswith("+") and drawn["minus random (points)"] == ""
    assert not any("rome" in label for labels in shown for label in labels)  # it edits at one block only


def test_the_difference_between_blocks_has_an_interval_over_seeds():
    edits = [edit for edit in two_seeds(["llama"]) if edit.editor == "creme"]
    worse = [
        replace(edit, perturbed=edit.base.perturbed) if (edit.edit_at, edit.cell.seed) == ("auto", 43) else edit
        for edit in edits
    ]
    table, *apart = (
        table_of("edit-places", pooled(evidence(of)))
        for of in (worse, *([edit for edit in worse if edit.cell.seed == seed] for seed in (42, 43)))
    )
    both, first, second = (
        next(row for row in of.rows if row.labels[1:] == ("all categories", "creme, found (l*)")).cells[2]
        for of in (table, *apart)
    )
    assert second.value < 0 < first.value and both.value == pytest.approx((first.value + second.value) / 2)
    assert both.low < second.low < first.high < both.high and both.seeds == 2
    assert "over seeds where there are several" in table.caption


def test_other_settings_than_the_block_are_not_compared():
    edits = [replace(edit, settings="lr: 5e-4") if edit.edit_at == "random" else edit for edit in made(["llama"])]
    with pytest.raises(NothingToDraw, match="no editor with two values of `edit_at`"):
        EXHIBITS["edit-places"].draw(evidence(edits))


def test_costs_are_means_over_the_edits_that_were_made(all_of_it):
    shown = texts(table_of("edit-costs", all_of_it))
    row = shown["llama", "creme"]
    assert (row["edits"], row["seconds localization"], row["memory (MiB)"]) == ("14", "0.21", "812")
    assert shown["llama", "creme-random"]["seconds localization"] == "0.00"


def test_ended_edits_are_counted_and_have_no_number_in_the_rows_of_edits(all_of_it):
    shown = texts(table_of("edit-ends", all_of_it))
    assert shown["minicode", "llama", "C2", "creme"]["not reproduced"] == "1"
    assert shown["minicode", "gpt_bigcode", "C3", "rome"]["no such pair"] == "1"
    assert {row["failed or not done"] for row in shown.values()} == {"0"}
    table = table_of("edits", all_of_it)
    row = next(row for row in table.rows if row.labels == ("creme", "minicode-C2-pair2", "minicode/14"))
    assert [cell.text for cell in row.cells] == ["63", "not reproduced", "", "", "", "", "", ""]
    assert table.footnotes == ("not reproduced: both prompts pass in 5 of 5 samples",)


def test_where_no_pair_was_eligible_the_tables_say_0():
    edits = [replace(ended(edit, "no such pair"), eligible=0) for edit in made(["llama"], pairs=1)]
    of_sweep = evidence(edits)
    assert {row["eligible pairs"] for row in texts(table_of("edit-ends", of_sweep)).values()} == {"0"}
    assert {row.cells[0].text for row in table_of("edits", of_sweep).rows} == {"0"}
    unknown = evidence([replace(edit, eligible=None) for edit in edits])
    assert {row["eligible pairs"] for row in texts(table_of("edit-ends", unknown)).values()} == {""}


def test_an_edit_without_effect_is_said_to_have_none():
    edits = made(["llama"])
    why = "the edited model gives its base's very logits"
    edits[0] = replace(edits[0], work=replace(edits[0].work, changes_nothing=why))
    of_sweep = evidence(edits)
    assert texts(table_of("edit-ends", of_sweep))["minicode", "llama", "C1", "creme"]["without effect"] == "1"
    assert why in table_of("edits", of_sweep).footnotes


def test_rewritten_prompts_are_counted_by_reason(all_of_it):
    row = texts(table_of("rewritten-prompts", all_of_it))["minicode", "llama", "C1"]
    assert (row["prompts"], row["accepted"], row["empty"]) == ("160", "12", "40")


def test_a_row_for_each_edit_is_on_demand_and_sums_are_first():
    groups = {id: EXHIBITS[id].group for id in TABLES}
    assert [id for id, group in groups.items() if group == EDIT_ROWS] == ["edit-ends", "edits"]
    assert {group for group in groups.values()} == {EDITS, EDIT_ROWS}


@pytest.mark.parametrize("id", TABLES)
def test_a_sweep_without_edits_draws_none_of_them(id):
    with pytest.raises(NothingToDraw):
        EXHIBITS[id].draw(evidence([]))


@pytest.mark.parametrize("id", TABLES)
def test_equal_records_give_equal_tables(id, all_of_it):
    again = evidence(rewritten=rewritten())
    assert to_csv(table_of(id, all_of_it)) == to_csv(table_of(id, again))
