import math
from dataclasses import replace

from raysweep.analysis.findings import findings
from tests.analysis.examples import ORDER, score, scores


def test_the_finding_says_what_a_model_loses_before_and_after():
    llama, bigcode = findings(scores(), ORDER)
    assert llama.sentence == (
        "llama loses 47 % of its pass@1 under C; fine-tuned on C it loses 16 %; "
        "fine-tuned on clean prompts it loses 42 %."
    )
    assert bigcode.sentence.startswith("gpt_bigcode loses 48 % of its pass@1 under C; fine-tuned on C it loses 29 %")


def test_the_finding_carries_both_pass_at_1_and_their_difference():
    (llama, _) = findings(scores(), ORDER)
    assert "not fine-tuned 88 % and 46 % (−41 points)" in llama.detail
    assert "fine-tuned on C 88 % and 73 % (−14 points)" in llama.detail


def test_an_undefined_drop_is_not_reported_as_a_number():
    given = [s for s in scores() if (s.model, s.training_set, s.metric) != ("llama", "base", "RD")]
    (llama, _) = findings([*given, score("llama", "base", "C", "RD", math.nan, note="clean pass@1 is 0")], ORDER)
    assert llama.sentence.startswith(
        "llama has no relative drop under C (clean pass@1 is 0); fine-tuned on C it loses 16 %"
    )
    assert not llama.complete


def test_a_gain_is_called_a_gain():
    given = [replace(s, value=-0.031) if s.metric == "RD" and s.training_set == "base" else s for s in scores()]
    assert findings(given, ORDER)[0].sentence.startswith("llama gains 3 % of its pass@1 under C")


def test_the_headline_of_the_order_decides_the_perturbation():
    assert findings(scores(), replace(ORDER, headline="C3"))[0].perturbation == "C3"


def test_nothing_perturbed_gives_no_finding():
    assert findings([s for s in scores() if s.perturbation == "clean"], replace(ORDER, perturbations=("clean",))) == []
