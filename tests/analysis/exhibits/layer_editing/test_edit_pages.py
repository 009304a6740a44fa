"""The page of each pair: prompts once, each method's blocks and completions, sizes for hundreds of pairs."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from raysweep.analysis.exhibits.answers import Answer, NoAnswers
from raysweep.analysis.exhibits.base import NothingToDraw
from raysweep.analysis.exhibits.catalogue import draw, read_exhibits
from raysweep.analysis.exhibits.edits import ReportedEdit
from raysweep.analysis.exhibits.layer_editing.edit_pages import EditPages
from raysweep.analysis.page.report import render_report
from tests.analysis.examples import HOSTILE, report
from tests.analysis.exhibits.layer_editing.examples import edit_of, ended, evidence, made, rewritten
from tests.analysis.page.test_report import Page

EXHIBITS = read_exhibits()
PAGES = EXHIBITS["edit-pages"]


class KnownAnswers(NoAnswers):
    """Every edited model passes every clean prompt and fails every perturbed one; its text names its cell."""

    def __init__(self, text: str = "") -> None:
        self.text = text

    def of(self, cell, test_set):
        is_clean = test_set[1] == "clean"
        text = self.text or f"    return {cell.recipe!r}\n"
        return [
            Answer(f"minicode/{number}", 0, text, is_clean, "passed" if is_clean else "wrong_answer")
            for number in range(99)
        ]


def page_of(of_sweep) -> str:
    drawn = draw(
        [exhibit for exhibit in EXHIBITS.values() if exhibit.group.startswith("edit") or exhibit is PAGES], of_sweep
    )
    html = render_report(report(scores=[], drawn=drawn, order=of_sweep.frame.order))
    return html[html.index('<section id="layer-editing">') :].partition("</section>")[0]


def test_a_pair_has_one_page_with_all_methods_and_its_prompts_once():
    pages = PAGES.draw(evidence(answers=KnownAnswers())).pairs
    assert len(pages) == 29  # 2 models, 3 categories, 5 pairs, and one of the pairs doesn't exist
    first = pages[0]
    assert first.group == "llama · minicode · neighbouring keys (C1)" and first.pair == "minicode-C1-pair1"
    assert [edit.method for edit in first.edits] == ["creme", "creme-random", "rome", "dinm", "lora-edit"]
    assert [answer.passed for answer in first.before] == [True, False]
    assert [answer.verdict for answer in first.edits[0].after] == ["wrong answer", "passed"]
    assert [blocks.label for blocks in first.edits[0].blocks] == ["all positions", "last position"]
    assert first.edits[4].blocks == [] and first.edits[0].facts[0].startswith("restored ")


def test_an_edit_that_ended_says_why_and_has_no_completion():
    page = next(page for page in PAGES.draw(evidence(answers=KnownAnswers())).pairs if page.pair == "minicode-C2-pair2")
    assert page.edits[0].ended == "not reproduced: both prompts pass in 5 of 5 samples" and page.edits[0].after == []
    assert page.edits[1].after


def test_of_too_many_pairs_the_first_of_each_model_and_category_are_shown():
    drawn = EditPages(id="a", title="b", pairs=8).draw(evidence())
    shown = [(page.group.partition(" ")[0], page.pair) for page in drawn.pairs]
    firsts = [
        (model, f"minicode-{category}-pair1") for model in ("llama", "gpt_bigcode") for category in ("C1", "C2", "C3")
    ]
    assert set(firsts) < set(shown) and len(shown) == 8 and drawn.pairs_left_out == 21


@pytest.mark.slow
def test_the_page_marks_what_differs_between_the_prompts_and_shows_blocks_with_their_numbers():
    html = page_of(evidence(answers=KnownAnswers()))
    assert "<del>m</del><ins>n</ins>" in html  # number -> nunber
    assert re.search(r'aria-label="RI by block: 0: -?\d+ %, 1: ', html) and 'class="chosen"' in html
    assert re.search(r"<figcaption>RI by block, all positions: 0: -?\d+ %, 1: ", html)
    assert 'base on the perturbed prompt <span class="bad">✗ wrong answer</span>' in html
    assert "pair1 <small>minicode/7 · creme restored " in html
    Page(html)


def test_without_the_bases_results_its_completion_failed():
    page = PAGES.draw(evidence([edit_of("llama", "rome", "C1", 1)])).pairs[0]
    assert [answer.verdict for answer in page.before] == ["passed", "failed"]


def with_restored(*shares: float) -> ReportedEdit:
    """An edit of block 3 after a localization that restored so much at each block."""
    edit = edit_of("llama", "creme", "C1", 1)
    rows = [replace(row, restoration=shares[row.block]) for row in edit.localization]
    return replace(edit, work=replace(edit.work, block=3), localization=rows)


@pytest.mark.parametrize(
    ("restored", "decided"),
    [
        ((0, 0, 0, 0), "no block restored anything; distance chose block 3"),
        ((1, 1, 1, 1), "all blocks restored equally much; distance chose block 3"),
        ((0, 0.5, 0, 0.5), "blocks 1, 3 restored equally much; distance chose block 3"),
        ((0, 0.5, 0, 1), None),
    ],
)
def test_an_edit_says_its_accuracies_and_where_distance_decided(restored, decided):
    (edit,) = PAGES.draw(evidence([with_restored(*restored)])).pairs[0].edits
    assert edit.facts[1:3] == ["block 3 of 0 to 3", "Acc_ori 100 %, Acc_pert 20 % of 5 samples"]
    assert [fact for fact in edit.facts if "distance" in fact] == [decided] * (decided is not None)


def test_texts_of_models_are_escaped():
    html = page_of(evidence([edit_of("llama", "creme", "C1", 1)], answers=KnownAnswers("\n".join(HOSTILE)))).lower()
    assert not [tag for tag in ("<script", "<img", "<!--") if tag in html]


@pytest.mark.slow
def test_340_pairs_by_five_methods_stay_below_6_kb_each():
    edits = made(["llama", "gpt_bigcode"], pairs=56)
    html = page_of(evidence(edits, answers=KnownAnswers("    x = 1\n" * 10)))
    pairs = html[html.index('<details class="pairs">') :]
    assert pairs.count('class="pair"') == 335 and len(pairs) < 335 * 6000


def test_long_completions_are_cut():
    long = KnownAnswers("x" * 10_000)
    page = PAGES.draw(evidence([edit_of("llama", "rome", "C1", 1)], answers=long)).pairs[0]
    assert {len(answer.text) for answer in page.edits[0].after} == {2002}


@pytest.mark.slow
def test_the_section_has_tables_and_pages_and_is_absent_without_edits():
    html = page_of(evidence(rewritten=rewritten(), answers=KnownAnswers()))
    assert html.count('<figure class="table') == 8 and "say nothing about real models" in html
    assert 'id="layer-editing"' not in render_report(report(scores=[]))


def test_without_a_known_pair_there_is_no_page():
    with pytest.raises(NothingToDraw, match="no edit example"):
        PAGES.draw(evidence([ended(edit_of("llama", "rome", "C1", 1), "no such pair")]))
