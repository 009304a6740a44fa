"""The tables of edits: what is restored, other blocks, costs, how edits ended, rewritten prompts."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean, stdev

import pytest

from raysweep.analysis.exhibits.base import NothingToDraw
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.exhibits.edits import BaseRates
from raysweep.analysis.exhibits.layer_editing.edit_scores import EditScores
from raysweep.analysis.tables.order import BROKEN, LEFT_OUT
from raysweep.analysis.tables.table import to_markdown
from raysweep.metrics.restoration import NOTHING_PASSED
from tests.analysis.exhibits.layer_editing.examples import (
    EDITORS,
    edit_of,
    ended,
    evidence,
    made,
    pooled,
    rewritten,
    texts,
    transferred,
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


@pytest.mark.slow
def test_rewriting_repairs_the_mean_over_the_categories(all_of_it):
    shown = texts(table_of("repairs", all_of_it))["llama", "self-denoising"]
    by_category = texts(table_of("repairs-by-category", all_of_it))
    of_three = [
        float(by_category["llama", name, "self-denoising"]["pass@1 (%) repaired"]) for name in ("C1", "C2", "C3")
    ]
    assert float(shown["pass@1 (%) repaired"]) == pytest.approx(mean(of_three), abs=0.1)


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


def undone(one):
    """What rewriting restores if it undoes the perturbation, and where the perturbation loses nothing."""
    return [replace(one, rates=one.base.clean), replace(one, base=BaseRates(one.base.clean, one.base.clean))]


UNDONE, HARMLESS = undone(rewritten(["llama"])[1])
SUMS = ("repairs", "repairs-by-category", "edit-places", "edit-costs", "rewritten-prompts", "edit-ends")
CASES = {
    "one seed": (evidence(made(["llama"]), rewritten=rewritten(["llama"])), SUMS),
    "seeds together": (pooled(evidence(two_seeds(["llama"]), rewritten=two_rewritings())), SUMS),
    "each seed": (evidence(two_seeds(["llama"]), rewritten=two_rewritings()), ("repairs", "edit-places", *SUMS[4:])),
    "rewriting that undoes all": (evidence([], rewritten=[UNDONE]), ("repairs",)),
    "rewriting where nothing was lost": (evidence([], rewritten=[HARMLESS]), ("repairs",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_sums_of_edits_and_of_rewritten_prompts(case, snapshot):
    of_sweep, ids = CASES[case]
    assert "\n\n".join(to_markdown(table_of(id, of_sweep)) for id in ids) == snapshot


def test_captions_speak_of_minicode_and_of_plain_lora_only_where_they_are():
    others = [replace(edit, problem_set="humaneval") for edit in made(["llama"]) if edit.editor != "lora_edit"]
    caption = table_of("repairs", evidence(others)).caption
    assert "MiniCode" not in caption and "LoRA" not in caption


def test_captions_say_which_problems_edited_models_were_judged_on():
    broken = evidence()
    frame = replace(broken.frame, order=replace(broken.frame.order, left_out=BROKEN))
    captions = [EXHIBITS["repairs"].draw(each).tables[0].caption for each in (broken, replace(broken, frame=frame))]
    assert f"clean ones, {LEFT_OUT}. " in captions[0] and f"clean ones, {BROKEN}. " in captions[1]


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


def test_the_relative_gain_is_of_the_same_accuracies_and_undefined_where_nothing_passed():
    edit = replace(made(["llama"])[0], base=BaseRates({"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}, {}), task_ids=("e",))
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


def test_edits_from_examples_of_other_categories_are_a_control_and_a_matrix():
    of = {name: [edit_of("llama", "creme", name, number) for number in (1, 2, 3)] for name in ("C1", "C2")}
    both = evidence([*of["C1"], *of["C2"]], transferred=[*transferred(of["C1"], "C2"), *transferred(of["C2"], "C1")])
    for_all = texts(table_of("repairs", both))
    own, others = (for_all["llama", name]["restored (%)"] for name in ("creme", "creme · other category"))
    assert others.startswith("0.0") and not own.startswith("0.0")
    matrix = texts(table_of("edit-transfer", both))
    first, last = matrix["llama", "creme", "C1"], matrix["llama", "creme", "all categories"]
    on = {name: text for name, text in first.items() if name.startswith("restored")}
    assert len(on) == 2 and [text.startswith("0.0") for text in on.values()] == [False, True]
    assert last["own minus others (points)"].startswith(f"+{own.split()[0]}")
    with pytest.raises(NothingToDraw, match=r"edits\.transfer"):
        table_of("edit-transfer", evidence())


def test_edits_from_several_examples_share_none_and_their_number_is_said():
    one = [edit_of("llama", "creme", "C1", number) for number in (1, 2)]
    five = [replace(edit_of("llama", "dinm", "C1", 1), task_ids=tuple("abcde"))]
    table = table_of("repairs", evidence([*one, *five]))
    assert "restored, shared pairs (%)" not in {column.full_name for column in table.columns}
    assert "dinm: each edit is from 5 examples together." in table.caption


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
    assert "its interval is over seeds, too" in table.caption


def test_other_settings_than_the_block_are_not_compared():
    edits = [replace(edit, settings="lr: 5e-4") if edit.edit_at == "random" else edit for edit in made(["llama"])]
    with pytest.raises(NothingToDraw, match="no editor with two values of `edit_at`"):
        EXHIBITS["edit-places"].draw(evidence(edits))


def test_methods_are_compared_with_one_of_them_pair_by_pair(all_of_it):
    mine = EditScores(
        id="mine",
        title="Mine",
        rows=["category", "model", "method"],
        columns=["minus"],
        total=True,
        against="creme-random",
    )
    table = mine.draw(all_of_it).tables[0]
    shown = texts(table)
    assert list(dict.fromkeys(category for category, *_ in shown)) == ["C1", "C2", "C3", "all categories"]
    blocks = texts(table_of("edit-places", all_of_it))
    for category in ("C1", "all categories"):
        minus = shown[category, "llama", "creme"]["minus creme-random (points)"]
        assert minus == blocks["llama", category, "creme, found (l*)"]["minus random (points)"]
    assert shown["C1", "llama", "creme-random"] == shown["C1", "llama", "self-denoising"] == {table.columns[0].name: ""}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"rows": ["model", "category"]}, "either 'method' or 'block'"),
        ({"rows": ["model", "method", "block"]}, "either 'method' or 'block'"),
        ({"rows": ["method"]}, "rows are of 'model', .* not of 'method'"),
        ({"rows": ["model", "method", "model"]}, "'model' is named twice among rows; name it once"),
        (
            {"columns": ["restord"]},
            r"unknown column 'restord' \(did you mean 'restored'\?\); the columns are edits, .*, within 1 point",
        ),
        ({"columns": ["minus"]}, "'minus' and the key 'against' need each other"),
        ({"against": "random"}, "'minus' and the key 'against' need each other"),
    ],
)
def test_rows_and_comparisons_that_say_too_little_are_mistakes(keys, said):
    with pytest.raises(ValueError, match=said):
        EditScores(**{"id": "mine", "title": "Mine", "rows": ["model", "method"], "columns": ["edits"]} | keys)


@pytest.mark.parametrize(
    ("rows", "against", "said", "meant"),
    [
        ("block", "nonsense", r"no block 'nonsense' for `against`; it has auto, random$", "auto"),
        ("block", "creme", r"no block 'creme' for `against`; it has auto, random$", "random"),
        ("method", "crem", r"no method 'crem' for `against` \(did you mean 'creme'\?\); it has creme, .*", "creme"),
        ("method", "self-denoising", "no method 'self-denoising' for `against`; it has creme, .*", "rome"),
    ],
)
def test_what_others_are_compared_with_is_an_edit_of_the_sweep(all_of_it, rows, against, said, meant):
    keys = {"id": "mine", "title": "Mine", "rows": ["model", rows], "columns": ["restored", "minus"]}
    with pytest.raises(NothingToDraw, match=said):
        EditScores(**keys, against=against).draw(all_of_it)
    (table,) = EditScores(**keys, against=meant).draw(all_of_it).tables
    assert len(table.columns) == 2 and any(row.cells[1].state == "value" for row in table.rows)


def test_a_caption_names_the_blocks_of_the_table_and_the_one_that_others_can_not_be_compared_with(all_of_it):
    at_two = "is at several blocks: the one that the localization finds (l*), a random one."
    assert at_two in table_of("edit-places", all_of_it).caption
    (table,) = EXHIBITS["edit-places"].model_copy(update={"against": "3"}).draw(all_of_it).tables
    assert at_two in table.caption and "There is no edit at block 3 to compare with." in table.caption
    assert not any("minus" in column.name for column in table.columns)


def test_rewritings_of_two_seeds_keep_their_seed_where_one_is_not_judged_yet():
    rows = [replace(one, rates={}) if one.cell.seed == 43 else one for one in two_rewritings()]
    shown = texts(table_of("repairs", evidence([], rewritten=rows)))
    assert list(shown) == [("llama", "self-denoising · seed 42")]


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


def test_a_sweep_without_edits_draws_none_of_them():
    for id in TABLES:
        with pytest.raises(NothingToDraw):
            EXHIBITS[id].draw(evidence([]))
