import math
from dataclasses import replace

import pytest

from raysweep.analysis.sections.findings import findings
from raysweep.analysis.tables.frame import ScoreFrame
from raysweep.analysis.tables.pooling import EDITED, WAY
from tests.analysis.examples import ORDER, score, scores

ALL = scores()
BASES = [s for s in ALL if s.training_set == "base"]
OF_C = [s for s in ALL if s.training_set == "C"]
LOST = score("llama", "base", "C", "RD", math.nan, note="clean pass@1 is 0")
BETTER = {"RD": -0.5, "pass@1": -0.1}  # RD is better, since clean pass@1 has fallen
TWO_SETS = [
    *(replace(s, training_set="W2") if s.training_set == "C" else s for s in ALL),
    *(replace(s, training_set="W1", value=s.value + BETTER.get(s.metric, 0.0)) for s in OF_C),
]
EDITS = [replace(s, training_set=EDITED, recipe="creme", n=239) for s in OF_C]
RESTORED = [replace(s, metric="G-RIR", value=0.04) for s in EDITS if s.metric == "RD"]
EDITED_ONLY = replace(
    ORDER, training_sets=("base", EDITED), trained_with={}, ways={EDITED: WAY}, mixes=(), headline="C"
)
CASES = {
    "before and after fine-tuning": (ALL, ORDER),
    "two recipes": ([*ALL, *(replace(s, recipe="lora") for s in ALL if s.recipe == "full")], ORDER),
    "an undefined loss": (
        [*(s for s in ALL if (s.model, s.training_set, s.metric) != ("llama", "base", "RD")), LOST],
        ORDER,
    ),
    "a gain": ([replace(s, value=-0.031) if s in BASES and s.metric == "RD" else s for s in ALL], ORDER),
    "a training set of another name": (
        [replace(s, training_set="half") if s.training_set == "C" else s for s in ALL],
        replace(
            ORDER,
            training_sets=("base", "clean", "half"),
            training_words={"half": "50 % typos"},
            trained_with={"half": "C"},
        ),
    ),
    "the best of two training sets": (
        TWO_SETS,
        replace(ORDER, training_sets=("base", "clean", "W1", "W2"), trained_with={}),
    ),
    "edits, without the edited problem": ([*BASES, *EDITS, *RESTORED], EDITED_ONLY),
    "edits that restore nothing known": (
        [*BASES, *EDITS, *(replace(s, value=math.nan) for s in RESTORED)],
        EDITED_ONLY,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_finding_says_what_a_model_loses_before_and_after(case, snapshot):
    found = findings(ScoreFrame.of(*CASES[case]))
    assert [
        (one.label, one.sentence, one.detail, one.drops_of, one.complete, one.tuned_on) for one in found
    ] == snapshot


def test_every_perturbation_stands_in_the_finding_worst_first_before_and_after_training():
    (llama, _) = findings(ScoreFrame.of(ALL, ORDER))
    assert [drop.label for drop in llama.drops] == [
        "changed case (C3)", "typos (C)", "neighbouring keys (C1)", "swapped characters (C2)",
    ]  # fmt: skip
    assert (round(llama.drops[0].base_rd, 3), round(llama.drops[0].tuned_rd, 3)) == (0.581, 0.181)
    edited, _ = findings(ScoreFrame.of(*CASES["edits, without the edited problem"]))
    assert math.isnan(edited.tuned_rd) and edited.restored == edited.drops[0].restored == 0.04
    assert math.isnan(edited.drops[0].tuned_rd)


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ({"perturbations": ("clean", "C", "C1", "C2", "C3")}, "C"),  # the widest mix, wherever it is listed
        ({"mixes": ("C2", "C")}, "C2"),
        ({"mixes": ()}, "C3"),  # what costs base models most
        ({"headline": "C3"}, "C3"),
    ],
)
def test_the_headline_or_the_widest_mix_or_the_worst_perturbation_is_taken(order, found):
    assert {one.perturbation for one in findings(ScoreFrame.of(ALL, replace(ORDER, **order)))} == {found}


def test_nothing_perturbed_gives_no_finding():
    clean = [s for s in ALL if s.perturbation == "clean"]
    assert findings(ScoreFrame.of(clean, replace(ORDER, perturbations=("clean",)))) == []
