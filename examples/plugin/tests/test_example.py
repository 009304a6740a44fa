"""`contract` tries what every part must do; the other tests hold what is this package's own."""

import random

import pytest
from raysweep_example.arithmetic import Arithmetic
from raysweep_example.dropped_vowels import DroppedVowels
from raysweep_example.forgetful import Forgetful
from raysweep_example.starcoder2 import StarCoder2
from raysweep_example.timeouts import Timeouts

from raysweep.errors import UsageError
from raysweep.metrics.base import CellLabels, Evaluation
from raysweep.records import Decoding, GenerationRequest, Result
from raysweep.testing import contract

CELL = CellLabels("model", "none", "base", 42)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("perturbations", "X1"),
        ("problems", "arithmetic"),
        ("metrics", "timeouts"),
        ("generators", "forgetful"),
        ("objectives", "per_token"),
        ("models", "starcoder2"),
    ],
)
def test_each_part_keeps_the_contract_of_every_part(kind, name):
    contract(kind, name)


def test_a_tiny_model_has_the_modules_that_its_family_names():
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_config(StarCoder2().tiny_config(320, 7))
    names = {path.rpartition(".")[2] for path, _ in network.named_modules()}
    assert {*StarCoder2.lora_targets, *StarCoder2.embeddings} <= names
    assert network.get_submodule(f"{StarCoder2.paths.blocks}.0.{StarCoder2.paths.mlp_output}").out_features == 128


def test_at_strength_5_all_vowels_go_but_first_letters_and_protected_words():
    text = DroppedVowels(strength=5).perturb_text("Add every number to total", random.Random(1), frozenset({"total"}))
    assert text == "Add evry nmbr t total"


def test_a_count_below_1_is_refused():
    with pytest.raises(UsageError, match="at least 1"):
        Arithmetic(count=0)


def test_timeouts_are_counted_by_problem():
    outcomes = [("a", "timeout"), ("a", "passed"), ("b", "failed"), ("b", "harness_error")]
    results = tuple(Result(task, sample, outcome, "", "", 0.1, "") for sample, (task, outcome) in enumerate(outcomes))
    (measured,) = Timeouts().measure(Evaluation("arithmetic", "clean", results), CELL)
    assert (measured.value, measured.n) == (0.25, 2)


def test_some_solutions_lack_their_last_line():
    requests = [GenerationRequest(f"r{n}", f"task/{n}", "prompt", reference="    a\n    b\n") for n in range(50)]
    completions = Forgetful(None, Decoding(), share=0.5).generate(requests)
    assert {completion.text for completion in completions} == {"    a\n", "    a\n    b\n"}
