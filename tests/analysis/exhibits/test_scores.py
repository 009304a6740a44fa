"""The tables of a sweep's scores: summaries of each model, and comparisons over models."""

import math
from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import Evidence
from raysweep.analysis.tables.frame import Failure, ScoreFrame
from raysweep.analysis.tables.order import Order
from raysweep.analysis.tables.table import Table, to_markdown
from tests.analysis.examples import ORDER, PASS, PERTURBATIONS, TRAINING_SETS, score, scores
from tests.analysis.examples import score_tables as tables
from tests.analysis.exhibits.examples import EXHIBITS


def table(title: str, subset=None, order=ORDER, failures=()) -> Table:
    known = scores() if subset is None else subset
    in_files = EXHIBITS["perturbed"].draw(Evidence(ScoreFrame.of(known, order, failures))).tables
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


CLEAN, PERTURBED, RD = "pass@1 clean on minicode (%)", "pass@1 perturbed on minicode (%)", "RD on minicode"
ALL = scores()
WITHOUT_RD = [s for s in ALL if (s.training_set, s.metric, s.perturbation) != ("C", "RD", "C")]
SMALL = [score("llama", "base", "C", metric, value) for metric, value in (("drop", -0.0001), ("RD", -0.0301))]
AGAIN = [replace(s, seed=43, value=s.value / 2) for s in ALL if s.training_set != "base" and s.model == "llama"]
PARTS = [*ALL, *(score("llama", "base", name, "pass@1 base", 0.9) for name in PERTURBATIONS)]
CASES = {
    "RD beside the perturbed pass@1 and its paired difference": (ALL, {}, [], [RD]),
    "sets in the config's order, but base and clean first": (
        ALL,
        {"training_sets": ("C", "clean", "C1")},
        [],
        [CLEAN],
    ),
    "names that only the scores know come last": (
        [*ALL, score("llama", "W", "W1", "pass@1", 0.5)],
        {},
        [],
        [PERTURBED],
    ),
    "an undefined number is a dash with its reason": (
        [*WITHOUT_RD, score("llama", "C", "C", "RD", math.nan, note="clean pass@1 is 0")],
        {},
        [],
        [RD],
    ),
    "failed cells, and absent ones": (
        ALL,
        {},
        [Failure("gpt_bigcode", "lora", "C1", 42, "\nOut of memory in step 3\nTraceback ...")],
        [CLEAN],
    ),
    "a pair that the rule leaves out is blank": (
        [s for s in ALL if (s.training_set, s.perturbation) != ("C", "C3")],
        {},
        [],
        [PERTURBED],
    ),
    "a failed model without any score": (
        [s for s in ALL if s.model == "llama"],
        {},
        [Failure("gpt_bigcode", "none", "base", 42, "no such checkpoint")],
        [CLEAN],
    ),
    "seeds have rows of their own that share the base": ([*ALL, *AGAIN], {}, [], [CLEAN]),
    "a range where models differ": (
        [*ALL, score("llama", "C", "C1", "rows_unchanged", 4.0)],
        {},
        [],
        ["Test sets of minicode"],
    ),
    "no minus zero, over several draws": (SMALL, {"draws": 5}, [], [RD]),
    "a part of the tests below all tests": (PARTS, {}, [], [CLEAN, PERTURBED, "llama on minicode"]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_table_of_scores(case, snapshot):
    found, order, failures, titles = CASES[case]
    shown = [table(title, found, replace(ORDER, **order), failures) for title in titles]
    assert "\n\n".join(map(to_markdown, shown)) == snapshot


def test_rd_over_all_and_over_valid_prompts_stand_side_by_side():
    title = "RD over prompts that still ask for the task, minicode (%)"
    rated = score("llama", "base", "C2", "RD_valid", 0.125, n=50, note="50 of 60 rated prompts are valid")
    result = table(title, [*scores(), rated])
    assert cells(result, "C2", "llama", "RD (%)", "valid")["base"].text == "12.5"
    for quantity in ("RD (%)", "pass@1 (%)", "difference (points)"):
        of_all = cells(table("RD on minicode"), "C2", "llama", quantity)
        assert repr(cells(result, "C2", "llama", quantity, "all")) == repr(of_all)
    assert {row.labels[0] for row in result.rows} == {"C2"}
    assert title not in [one.title for one in tables(scores(), ORDER)]


def test_no_scores_give_no_tables():
    assert tables([], Order(training_sets=TRAINING_SETS)) == []
