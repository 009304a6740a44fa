"""Files that define tables and figures: raysweep's own, those of a user, broken ones, and unknown names."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.base import COMPARISONS, SUMMARIES, Drawn, Evidence, Exhibit, Id, NothingToDraw, Unasked
from raysweep.analysis.exhibits.base import EXHIBITS as EXHIBIT_KINDS
from raysweep.analysis.exhibits.catalogue import _installed, draw, read_exhibit, read_exhibits
from raysweep.analysis.exhibits.heat_map import HeatMap
from raysweep.analysis.exhibits.scores.grid import ScoreGrid
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import RowChoice
from raysweep.errors import UsageError
from tests.analysis.exhibits.examples import (
    CURVES,
    EXHIBITS,
    PRINTED,
    STUDY,
    cells,
    curve_evidence,
    printed_scores,
    score,
    study,
)
from tests.paths import REPO

OWN = """
id: {id}
title: pass@1 of all models on all mixes
source: companion study's table 1
kind: scores
rows: [model]
columns: [test set, training set]
training_sets: [clean, headline]
test_sets: [clean, headline]
quantities: {{pass@1: 0}}
"""


CURVE = "id: figure-3-b\ntitle: a\nkind: curves\ntest_sets: [clean]\nquantities: {pass@1: 1}\n"


def test_the_studys_tables_and_figures_have_a_file_each(snapshot):
    assert (
        "\n".join(f"{id} ({exhibit.group}): {exhibit.source or 'our own'}" for id, exhibit in EXHIBITS.items())
        == snapshot
    )


def test_a_file_of_a_user_is_drawn_beside_raysweeps_own(tmp_path):
    (tmp_path / "mine.yaml").write_text(OWN.format(id="mine"))
    for place in (tmp_path, tmp_path / "mine.yaml"):
        exhibits = read_exhibits([place])
        assert list(exhibits) == [*EXHIBITS, "mine"]
        (table,) = draw([exhibits["mine"]], study()).tables
        assert cells(table)["deepseek-coder",] == {
            "clean clean": "52", "clean mix_all": "50", "mix_all clean": "45", "mix_all mix_all": "42",
        }  # fmt: skip
        assert table.caption == "It has the form of the companion study's table 1."


def test_the_docs_examples_of_files_are_drawn_and_its_table_has_all_keys_of_scores(tmp_path):
    page = (REPO / "docs" / "exhibits.md").read_text()
    examples = re.findall(r"```yaml\n(id: .*?)```", page, re.DOTALL)
    for number, text in enumerate(examples):
        (tmp_path / "mine.yaml").write_text(text)
        tables = read_exhibit(tmp_path / "mine.yaml").draw(study()).tables
        assert tables and all("{" not in table.title for table in tables), number
    assert len(examples) == 3
    listed = page.partition("| key of `kind: scores` |")[2].partition("\n\n")[0]
    keys = {key for line in listed.splitlines() for key in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert {*ScoreGrid.model_fields} - {*Exhibit.model_fields} == keys


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id: a\ntitle: [", "is no YAML"),
        ("- id", "a mapping of keys"),
        (
            "id: a\ntitle: b",
            "key 'kind' is missing; it is one of block-heat, block-map, choice, curves, ",
        ),
        ("id: a\ntitle: b\nkind: score", r"unknown kind of table or figure 'score' \(did you mean 'scores'\?\)"),
        (OWN.format(id="a") + "row: [model]", r"unknown key 'row' \(did you mean 'rows'\?\)"),
        (OWN.format(id="a").replace("rows: [model]", ""), "key 'rows' is missing"),
        (OWN.format(id="a").replace("[model]", "[modell]"), r"rows.0: must be .* not 'modell' \(did you mean 'model'"),
        (OWN.format(id="a").replace("[model]", "[test set]"), "'test set' is named twice"),
        (OWN.format(id="a").replace("[model]", "[quantity]") + "mean: true", "the mean is over models"),
        (OWN.format(id="A table"), "id: "),
        (OWN.format(id="a").replace("{pass@1: 0}", "{pass@1: 9}"), "quantities.pass@1: must be at most 6, not 9"),
        (
            OWN.format(id="a") + "group: summary",
            r"group: must be 'summaries', .* or '', not 'summary' \(did you mean 'summaries'\?\)",
        ),
        ("kind: curves\nalong: width", "along: must be .* not 'width'; key 'test_sets' is missing"),
        (CURVE + "along: argument", "names it under `argument`"),
        (CURVE + "along: ratio\nbeside: [fait]", "`beside` and `training_sets` belong to"),
        (CURVE + "along: ratio\nargument: {objective: a, argument: b, label: c}", "no other curve does"),
        (CURVE + "along: argument\nargument: {objective: fixed, label: c}", "key 'argument.argument' is missing"),
        (OWN.format(id="a") + "recipes: [sft]", "`recipes` are named, and no row or column shows them; add 'recipe'"),
        (OWN.format(id="a").replace("[model]", "model"), r"rows: must be a list, not 'model'; write \[model\]"),
        (
            "kind: edit-scores\nid: a\ntitle: b\ncolumns: [edits]\nrows: model, block",
            r"rows: must be a list, not 'model, block'; write \[model, block\]$",
        ),
        (
            OWN.format(id="a") + "families: {Mine: 'code*', Other: '*t5'}",
            r"families.Mine: must be a list, not 'code\*'; write \[code\*\]; families.Other: .* write \['\*t5'\]$",
        ),
        (
            OWN.format(id="a").replace("{pass@1: 0}", "[plausible@1]"),
            r"quantities: must be a mapping of metrics .*, not \['plausible@1'\]; write {plausible@1: 1}$",
        ),
        (
            OWN.format(id="a") + "labels: [pass@1]",
            r"labels: must be a mapping of keys, not \['pass@1'\]; write {pass@1: ...}, with a value for each$",
        ),
        (OWN.format(id="a") + "more: [{tests: 1}]", "unknown key 'more.0.tests' .did you mean 'test_sets'"),
        ("kind: heat-map\ntraining_sets: [all]", "unknown key 'training_sets'; the keys are id, title, .*quantity"),
        ("kind: signed-ranks\nid: a\ntitle: b\nstub: c\ntests: [{}]", "key 'tests.0.quantity' is missing"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_its_mistakes(tmp_path, text, said):
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=f"^{path}: .*{said}|^{path} .*{said}"):
        read_exhibit(path)


def test_places_without_definitions_and_doubled_ids_are_refused(tmp_path):
    with pytest.raises(UsageError, match="doesn't exist"):
        read_exhibits([tmp_path / "gone"])
    with pytest.raises(UsageError, match="has no file"):
        read_exhibits([tmp_path])
    (tmp_path / "again.yaml").write_text(OWN.format(id="table-2"))
    with pytest.raises(UsageError, match=r"again.yaml: the id 'table-2' is that of .*table-02.yaml, too"):
        read_exhibits([tmp_path])
    for allowed in ("figure-3-b", "table-2-b"):  # a table writes no figures, and has none to lose
        (tmp_path / "again.yaml").write_text(OWN.format(id=allowed))
        assert allowed in read_exhibits([tmp_path])
    (tmp_path / "again.yaml").write_text(CURVE + "along: ratio")
    with pytest.raises(
        UsageError, match=r"again.yaml: the id 'figure-3-b' begins with 'figure-3', an id of raysweep's"
    ):
        read_exhibits([tmp_path])


def test_a_kind_of_a_package_that_needs_no_file_is_drawn_last_and_takes_no_id_of_raysweeps(monkeypatch):
    def install(given):
        class Mine(HeatMap):
            """Another heat map."""

            place = ""
            id: Id = given

        monkeypatch.setattr(EXHIBIT_KINDS, "_classes", {**EXHIBIT_KINDS._classes, "mine": Mine})

    monkeypatch.setattr("raysweep.analysis.exhibits.catalogue._installed", _installed.__wrapped__)
    for id, said in (
        ("friedman", "the id 'friedman' is that of the kind friedman"),
        ("heat-map-b", "begins with 'heat-map'"),
    ):
        install(id)
        with pytest.raises(UsageError, match=f"^the kind mine: .*{said}"):
            read_exhibits()
    install("mine")
    assert list(read_exhibits()) == [*EXHIBITS, "mine"]


def test_what_a_sweep_has_no_numbers_for_is_left_out_or_all_of_it_named_if_it_was_asked_for():
    asked = [EXHIBITS[id] for id in ("table-2", "figure-3", "figure-5")]
    assert [table.name for table in draw(asked, study()).tables] == ["table-2-humaneval"]
    with pytest.raises(UsageError, match=r"nothing to show in figure-3: it trains on no set.*; figure-5: it trains"):
        draw(asked, study(), required=True)
    whole = (SUMMARIES, COMPARISONS)
    partial = [exhibit for id, exhibit in EXHIBITS.items() if exhibit.group not in whole and id != "perturbed"]
    drawn = draw(partial, Evidence(ScoreFrame.of([], STUDY)))
    assert replace(drawn, left_out=()) == Drawn() and len(drawn.left_out) == len(partial)


def test_a_question_that_a_sweep_cannot_be_asked_is_left_out_unless_it_is_asked_for_by_name():
    one = [score for score in printed_scores() if score.model == PRINTED[0].model]
    evidence = Evidence(ScoreFrame.of(one, replace(STUDY, models=(one[0].model,))))
    assert draw([EXHIBITS["table-2"]], evidence) == Drawn(left_out=(Unasked("table-2", "it has 1 model"),))
    named = draw([EXHIBITS["table-2"]], evidence, required=True)
    assert [table.name for table in named.tables] == ["table-2-humaneval"]


@pytest.mark.parametrize(
    ("id", "changed", "evidence", "said"),
    [
        ("heat-map", {"quantity": "RDD"}, study, "it has no metric 'RDD' (did you mean 'RD'?)"),
        ("figure-3", {"quantities": {"pas@1": 1}}, curve_evidence, "no metric 'pas@1' (did you mean 'pass@1'?)"),
        ("table-4", {"needs": "RDD"}, study, "it has no metric 'RDD' (did you mean 'RD'?)"),
        ("table-4", {"only_with": "pas@1"}, study, "it has no metric 'pas@1' (did you mean 'pass@1'?)"),
        ("table-4", {"quantities": {"RDX": 1}}, study, "it has no metric 'RDX' (did you mean 'RD'?)"),
    ],
)
def test_a_metric_that_a_sweep_has_not_is_named_with_the_nearest(id, changed, evidence, said):
    with pytest.raises(UsageError) as error:
        draw([EXHIBITS[id].model_copy(update=changed)], evidence(), required=True)
    assert said in str(error.value)


WHOLE_ROWS = curve_evidence(rows={name: RowChoice() for name in CURVES.rows})


def bare(**order):
    return study([score("m", "base", "clean", "pass@1", 0.5)], models=("m",), **order)


@pytest.mark.parametrize(
    ("id", "evidence", "lacking"),
    [
        *((id, study([]), "needs") for id in ("choice", "trade-off", "heat-map", "friedman")),
        ("figure-3", WHOLE_ROWS, "only a part is perturbed"),
        ("figure-5", WHOLE_ROWS, "number of rows"),
        ("table-10", bare(perturbations=("clean", "C")), "on perturbed prompts of C1 or C2 or C3"),
        ("table-4", bare(perturbations=("clean",)), "on perturbed prompts"),
        ("table-3", bare(), "no model has pass@1 on mix_all"),
    ],
)
def test_what_a_sweep_has_no_numbers_for_is_not_drawn_and_says_what_is_lacking(id, evidence, lacking):
    with pytest.raises(NothingToDraw, match=lacking):
        EXHIBITS[id].draw(evidence)
