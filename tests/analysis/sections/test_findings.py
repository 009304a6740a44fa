import math
from collections.abc import Sequence
from dataclasses import replace

from raysweep.analysis.sections.findings import Finding
from raysweep.analysis.sections.findings import findings as findings_of
from raysweep.analysis.tables.edited import EDITED, WAY
from raysweep.analysis.tables.score_book import Order, ScoreBook
from raysweep.records import Score
from tests.analysis.examples import ORDER, score, scores


def findings(scores: Sequence[Score], order: Order) -> list[Finding]:
    return findings_of(ScoreBook.of(scores, order))


def test_the_finding_says_what_a_model_loses_before_and_after():
    llama, bigcode = findings(scores(), ORDER)
    assert llama.sentence == (
        "llama loses 47 % of its pass@1 under typos (C); fine-tuned on typos (C) it loses 16 %; "
        "fine-tuned on clean prompts it loses 42 %."
    )
    assert bigcode.sentence.startswith(
        "gpt_bigcode loses 48 % of its pass@1 under typos (C); fine-tuned on typos (C) it"
    )


def test_of_several_recipes_the_base_model_is_named_without_one():
    twice = [*scores(), *(replace(s, recipe="lora") for s in scores() if s.recipe == "full")]
    full, lora, *_ = findings(twice, ORDER)
    assert (full.label, lora.label) == ("llama · full", "llama · lora")
    assert lora.sentence == (
        "llama loses 47 % of its pass@1 under typos (C); fine-tuned on typos (C), recipe lora, it loses 16 %; "
        "fine-tuned on clean prompts it loses 42 %."
    )


def test_the_finding_carries_both_pass_at_1_and_their_difference():
    (llama, _) = findings(scores(), ORDER)
    assert "without fine-tuning 87.5 % and 46.3 % (−41.2 points)" in llama.detail
    assert "fine-tuned on typos (C) 87.5 % and 73.3 % (−14.2 points)" in llama.detail
    assert llama.detail.startswith("pass@1 on clean and on perturbed prompts (240 problems): ")


def test_an_undefined_drop_is_not_reported_as_a_number():
    subset = [s for s in scores() if (s.model, s.training_set, s.metric) != ("llama", "base", "RD")]
    (llama, _) = findings([*subset, score("llama", "base", "C", "RD", math.nan, note="clean pass@1 is 0")], ORDER)
    assert llama.sentence.startswith(
        "what llama loses under typos (C) can't be measured: clean pass@1 is 0; fine-tuned on typos (C) it loses 16 %"
    )
    assert not llama.complete


def test_a_gain_is_called_a_gain():
    altered = [replace(s, value=-0.031) if s.metric == "RD" and s.training_set == "base" else s for s in scores()]
    assert findings(altered, ORDER)[0].sentence.startswith("llama gains 3 % of its pass@1 under typos (C)")


def test_without_a_headline_the_widest_mix_is_taken_wherever_it_is_listed():
    turned = replace(ORDER, perturbations=("clean", "C", "C1", "C2", "C3"))
    assert {finding.perturbation for finding in findings(scores(), turned)} == {"C"}
    assert findings(scores(), replace(ORDER, mixes=("C2", "C")))[0].perturbation == "C2"


def test_without_a_mix_the_perturbation_that_costs_base_models_most_is_taken():
    (llama, _) = findings(scores(), replace(ORDER, mixes=()))
    assert llama.perturbation == "C3"


def test_every_perturbation_stands_in_the_finding_worst_first_before_and_after_training():
    (llama, _) = findings(scores(), ORDER)
    assert [drop.label for drop in llama.drops] == [
        "changed case (C3)", "typos (C)", "neighbouring keys (C1)", "swapped characters (C2)",
    ]  # fmt: skip
    assert (round(llama.drops[0].base_rd, 3), round(llama.drops[0].tuned_rd, 3)) == (0.581, 0.181)
    assert llama.drops_of == "without fine-tuning → fine-tuned on typos (C)"


def test_a_training_set_with_the_headline_s_perturbation_counts_whatever_its_name():
    named = [replace(s, training_set="half") if s.training_set == "C" else s for s in scores()]
    order = replace(ORDER, training_sets=("base", "clean", "half"), training_words={"half": "50 % typos"})
    (llama, _) = findings(named, replace(order, trained_with={"half": "C"}))
    assert "; fine-tuned on 50 % typos (half) it loses 16 %" in llama.sentence


def test_a_training_set_chosen_for_its_result_is_named_as_such():
    fewer = {"RD": -0.5, "pass@1": -0.1}  # RD is better, since clean pass@1 has fallen
    other = [replace(s, training_set="W1", value=s.value + fewer.get(s.metric, 0.0)) for s in scores()
             if s.training_set == "C"]  # fmt: skip
    named = [replace(s, training_set="W2") if s.training_set == "C" else s for s in scores()]
    order = replace(ORDER, training_sets=("base", "clean", "W1", "W2"), trained_with={})
    (llama, _) = findings([*named, *other], order)
    assert llama.tuned_on == "W2"
    assert "; fine-tuned on W2, of 2 training sets the one that passes most there, it loses 16 %" in llama.sentence


def test_the_headline_of_the_order_decides_the_perturbation():
    assert findings(scores(), replace(ORDER, headline="C3"))[0].perturbation == "C3"


def test_nothing_perturbed_gives_no_finding():
    assert findings([s for s in scores() if s.perturbation == "clean"], replace(ORDER, perturbations=("clean",))) == []


def test_an_edited_model_is_not_compared_with_its_base_over_other_problems():
    edited = [replace(s, training_set=EDITED, recipe="creme", n=239) for s in scores() if s.training_set == "C"]
    restored = [replace(s, metric="G-RIR", value=0.04) for s in edited if s.metric == "RD"]
    bases = [s for s in scores() if s.training_set == "base"]
    order = replace(ORDER, training_sets=("base", EDITED), trained_with={}, ways={EDITED: WAY}, mixes=())
    llama, _ = findings([*bases, *edited, *restored], replace(order, headline="C"))
    assert llama.sentence == (
        "llama loses 47 % of its pass@1 under typos (C); edited from one prompt pair (mean over pairs) it gets back "
        "4 % of such a loss (G-RIR, without the problem that it was edited from)."
    )
    assert math.isnan(llama.tuned_rd) and llama.restored == 0.04 and not llama.complete
    assert llama.detail.endswith("points), each without the problem that it was edited from.")
    assert ": before 87.5 % and 46.3 %" in llama.detail
    assert llama.drops_of == "before, and what edits restore of that loss (G-RIR)"
    assert llama.drops[0].restored == 0.04 and math.isnan(llama.drops[0].tuned_rd)
    undefined = [replace(s, value=math.nan) for s in restored]
    assert findings([*bases, *edited, *undefined], replace(order, headline="C"))[0].sentence.count(";") == 0
