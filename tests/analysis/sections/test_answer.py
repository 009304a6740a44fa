"""The report's first sentence says what was asked, in words that need no knowledge of the sweep."""

from dataclasses import replace

import pytest

from raysweep.analysis.page.report import render_report
from raysweep.analysis.sections.answer import question
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.order import RecipeChoice
from raysweep.analysis.tables.pooling import EDITED, WAY
from tests.analysis.examples import ORDER, report, scores

ALL = scores()
BASES = [s for s in ALL if s.training_set == "base"]
EDITS = [replace(s, training_set=EDITED, recipe="creme") for s in ALL if s.training_set == "C"]
BOTH = [*ALL, *(replace(s, recipe="lora") for s in ALL if s.training_set != "base")]
TUNED = [*dict.fromkeys(s.recipe for s in BOTH if s.recipe != "none")]
FEW = {"C": "typos", "C1": "neighbouring keys", "C2": "swapped characters"}
SETS = ("minicode", "java", "cpp")
EDITED_ONLY = replace(ORDER, training_sets=("base", EDITED), ways={EDITED: WAY})
CASES = {
    "models, problems and prompts": (ALL, ORDER),
    "few perturbations, one of them a mix": (
        [s for s in ALL if s.perturbation in ("clean", "C1", "C")],
        replace(ORDER, perturbations=("C1", "C"), headline="C", words=FEW, members={"C": ("C1", "C2")}),
    ),
    "recipes and seeds": (BOTH, replace(ORDER, recipes={name: RecipeChoice("sft") for name in TUNED}, seeds=3)),
    "a recipe that edits": (
        [*ALL, *EDITS],
        replace(ORDER, ways={EDITED: WAY}, recipes={"full": RecipeChoice("sft"), "creme": RecipeChoice("sft")}),
    ),
    "seeds without fine-tuning": (BASES, replace(ORDER, seeds=3)),
    "several problem sets": (
        [replace(s, problem_set=name, n=6) for name in SETS for s in ALL],
        replace(ORDER, problem_sets=SETS),
    ),
    "problems to solve and programs to repair": (
        [replace(s, metric="plausible@1", problem_set="java") if s.metric == "pass@1" else s for s in ALL] + ALL,
        replace(ORDER, problem_sets=("minicode", "java")),
    ),
    "one model that was not fine-tuned": (
        [s for s in BASES if s.model == "llama" and s.perturbation in ("clean", "C")],
        replace(ORDER, models=("llama",), training_sets=("base",), perturbations=("clean", "C")),
    ),
    "edits alone": ([*BASES, *EDITS], EDITED_ONLY),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_sentence_says_what_was_asked(case, snapshot):
    assert question(ScoreFrame.of(*CASES[case])) == snapshot


def test_the_findings_of_a_sweep_of_edits_do_not_speak_of_fine_tuning():
    page = str(render_report(report(scores=[*BASES, *EDITS], order=EDITED_ONLY)))
    found = page.partition('<section id="findings"')[2].partition("</section>")[0]
    assert "In place of a training set" in found and "fine-tun" not in found


def test_the_answer_stands_before_the_findings_and_a_sweep_without_scores_has_none():
    page = render_report(report())
    assert page.index('id="answer"') < page.index('id="findings"')
    assert 'id="answer"' not in render_report(report(scores=[]))
