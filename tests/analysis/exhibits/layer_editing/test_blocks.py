"""Where the blocks lie that localizations found, and what patching each restores: figures, numbers, tests."""

from __future__ import annotations

from dataclasses import replace
from math import nan
from typing import Any
from xml.etree import ElementTree

import pytest

from raysweep.analysis.exhibits.base import NothingToDraw
from raysweep.analysis.exhibits.catalogue import read_exhibits
from raysweep.analysis.exhibits.layer_editing.block_map import FoundBlocks, best_blocks
from raysweep.records import BlockAccuracy
from tests.analysis.exhibits.layer_editing.examples import edit_of, evidence, made, texts

EXHIBITS = read_exhibits()
SVG = "{http://www.w3.org/2000/svg}"


def words(svg: bytes) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def found_at(block: int, number: int, blocks: int = 32):
    edit = edit_of("llama", "creme", "C1", number)
    return replace(edit, work=replace(edit.work, block=block, blocks=blocks))


@pytest.mark.slow
def test_the_map_counts_each_block_once_an_edit_and_leaves_out_edits_without_a_localization():
    drawn = EXHIBITS["block-map"].draw(evidence())
    shown = texts(drawn.tables[0])
    assert shown["llama", "all categories"]["edits"] == "14"  # one was not reproduced; random, ROME, DINM don't count
    assert list(shown)[:2] == [("llama", "all categories"), ("llama", "C1")]
    (figure,) = drawn.figures
    assert figure.label == drawn.tables[0].label and (figure.rows[-1], figure.columns[0]) == ("C3", "llama")
    assert {"llama", "gpt_bigcode", "C1", "all categories", "depth of the block, l / N"} <= set(words(figure.render()))
    assert figure.render() == EXHIBITS["block-map"].draw(evidence()).figures[0].render()


def test_blocks_that_lie_together_have_a_small_p_of_runs_and_scattered_ones_a_large_one():
    together = [found_at(16 + number % 4, number) for number in range(1, 11)]
    scattered = [found_at(3 * number, number) for number in range(1, 11)]
    shown = [
        texts(EXHIBITS["block-map"].draw(evidence(edits)).tables[0])["llama", "C1"] for edits in (together, scattered)
    ]
    assert float(shown[0]["p, runs"]) < 0.001 < float(shown[1]["p, runs"]) and shown[0]["runs"] == "3"
    assert shown[0]["median depth"] == f"{17.5 / 32:.2f}"


def test_a_block_that_distances_decided_is_counted_as_tied():
    edit = edit_of("llama", "creme", "C1", 1)
    flat = [replace(row, restoration=0.0) for row in edit.localization]
    only_last = [
        replace(row, restoration=0.0 if row.positions == "all" else row.restoration) for row in edit.localization
    ]
    edits = [
        replace(edit, localization=flat),
        replace(edit_of("llama", "creme", "C1", 2), localization=only_last, settings='{"positions": "last"}'),
    ]
    shown = texts(EXHIBITS["block-map"].draw(evidence(edits)).tables[0])
    assert (shown["llama", "C1"]["edits"], shown["llama", "C1"]["tied"]) == ("2", "1")


def test_tied_edits_show_no_p_and_those_whose_patches_all_do_harm_are_counted():
    def edits(restorations: list[float]) -> list[Any]:
        made = (found_at(3, number, 4) for number in range(1, 11))
        rows = [BlockAccuracy(n, "all", "prefill", 0.5, each, 1.0, 1.0, 0.0, 5) for n, each in enumerate(restorations)]
        return [replace(edit, localization=rows) for edit in made]

    shown = [
        texts(EXHIBITS["block-map"].draw(evidence(edits(each))).tables[0])["llama", "C1"]
        for each in ([0.0] * 4, [-0.4, -0.4, -0.4, -0.2])
    ]
    assert [(each["tied"], each["harmed"]) for each in shown] == [("10", "0"), ("0", "10")]
    assert shown[0]["p, uniform"] == "–" and float(shown[1]["p, uniform"]) < 0.01


def test_blocks_that_something_else_than_ri_told_apart_are_not_tied():
    rows = [BlockAccuracy(n, "all", "prefill", n / 5, nan, 1.0, 0.2, 0.2, 5, 0.5) for n in range(4)]
    removed = [replace(row, restoration=0.0, accuracy=0.2, divergence_removed=row.block / 4) for row in rows]
    edit = found_at(3, 1, 4)
    edits = [replace(edit, localization=rows), replace(edit, localization=removed, settings='{"by": "divergence"}')]
    assert [best_blocks(each) for each in edits] == [[3], [3]]
    assert best_blocks(replace(edit, localization=removed)) == [0, 1, 2, 3]


def test_embeddings_that_restore_all_tie_with_no_block():
    edit = edit_of("llama", "creme", "C1", 1)
    best = max(row.restoration for row in edit.localization if row.positions == "all")
    embeddings = replace(edit.localization[0], block=-1, restoration=best)
    patched = replace(edit, localization=[embeddings, *edit.localization])
    tied = [
        texts(EXHIBITS["block-map"].draw(evidence([one])).tables[0])["llama", "C1"]["tied"] for one in (edit, patched)
    ]
    assert tied[0] == tied[1]


def test_a_model_of_four_blocks_is_said_to_show_little():
    table = EXHIBITS["block-map"].draw(evidence()).tables[0]
    assert any(note.startswith("smallest p that so many blocks can show: 0.5") for note in table.footnotes)


def test_counts_have_a_place_for_blocks_that_were_never_found():
    assert FoundBlocks("m", "C1", [], 4, [], 0).counts([2, 2, 0]) == (1, 0, 2, 0)


def test_a_category_without_a_found_block_says_so_in_the_figure():
    edits = [edit_of("llama", "creme", "C1", 1), edit_of("gpt_bigcode", "creme", "C2", 1)]
    figure = EXHIBITS["block-map"].draw(evidence(edits)).figures[0]
    assert words(figure.render()).count("none found") == 2


def test_the_heat_map_has_a_panel_for_what_was_patched_and_means_over_defined_restorations():
    rows = [
        BlockAccuracy(block, "all", "prefill", 1.0, value, 1.0, 1.0, 0.0, 5) for block, value in ((-1, 1.0), (0, 0.5))
    ]
    edits = [
        replace(edit_of("llama", "creme", "C1", 1), localization=rows),
        replace(edit_of("llama", "creme", "C1", 2), localization=[replace(row, restoration=nan) for row in rows]),
        replace(edit_of("llama", "creme", "C1", 3), localization=[replace(row, restoration=0.0) for row in rows]),
    ]
    drawn = EXHIBITS["block-heat"].draw(evidence(edits))
    assert texts(drawn.tables[0]) == {("all positions", "C1"): {"block emb.": "50", "block 0": "25"}}
    (figure,) = drawn.figures
    assert [panel.title for panel in figure.panels] == ["all positions"] and figure.panels[0].values == ((50.0, 25.0),)
    assert {"emb.", "C1", "50", "25", "−100"} <= set(words(figure.render()))  # the scale has it
    nothing = replace(figure, panels=(replace(figure.panels[0], values=((0.0, 0.0),)),))
    assert nothing.render().count(b"fill: #f6f6f7") == 2


def test_there_is_a_heat_map_for_each_model_since_their_blocks_differ():
    drawn = EXHIBITS["block-heat"].draw(evidence())
    assert [figure.label for figure in drawn.figures] == [
        "block-heat-llama-minicode",
        "block-heat-gpt_bigcode-minicode",
    ]
    assert [panel.title for panel in drawn.figures[0].panels] == ["all positions", "last position"]


@pytest.mark.parametrize("id", ["block-map", "block-heat"])
def test_without_a_localization_there_is_neither(id):
    with pytest.raises(NothingToDraw, match="no edit whose block a localization found"):
        EXHIBITS[id].draw(evidence([edit for edit in made(["llama"]) if edit.cell.recipe == "rome"]))
