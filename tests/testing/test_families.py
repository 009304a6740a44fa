"""Each test of the suite for model families fails on a family that is broken in its way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.models.families.codegen import CodeGen
from raysweep.models.families.llama import Llama
from raysweep.testing.families import ModelFamilyContract
from tests.testing.bites import Broken, claims_of, message

pytestmark = pytest.mark.slow


class Asks(Llama):
    def __init__(self, k: int) -> None:
        self.k = k


class Fixed(Llama):
    def tiny_config(self, vocab_size, eos_token_id, **size):
        return super().tiny_config(512, eos_token_id, **size)


class Stubborn(Llama):
    def tiny_config(self, vocab_size, eos_token_id, **size):
        return super().tiny_config(vocab_size, eos_token_id)


class Boastful(Llama):
    tiny = {**Llama.tiny, "hidden_size": 4096}  # noqa: RUF012

    def tiny_config(self, vocab_size, eos_token_id, **size):
        return super().tiny_config(vocab_size, eos_token_id, **{"hidden_size": 64, **size})


class Large(Llama):
    def tiny_config(self, vocab_size, eos_token_id, **size):
        return super().tiny_config(vocab_size, eos_token_id, intermediate_size=20_000, **size)


class OtherLayers(Llama):
    lora_targets = ("q_proj", "qkv_proj")


class Norms(Llama):
    lora_targets = ("input_layernorm",)


class OtherEmbeddings(Llama):
    embeddings = ("wte",)


class OtherIa3(Llama):
    ia3_targets = ("fc_out",)


class OtherProjection(Llama):
    paths = replace(Llama.paths, mlp_output="mlp.c_proj")


class OtherBlocks(Llama):
    paths = replace(Llama.paths, blocks="model")


class QueryAsProjection(Llama):
    paths = replace(Llama.paths, mlp_output="self_attn.q_proj")


class Packs(CodeGen):
    packs = True


BROKEN: Broken = {
    "test_it_is_built_without_arguments": (lambda: Asks(1), "all that it has need a default; k has none"),
    "test_tiny_config_has_the_vocabulary_that_it_gets": (Fixed, "the number of tokens and the end-of-text id"),
    "test_size_overrides_fields_of_tiny_config": (Stubborn, "`size` overrides fields"),
    "test_tiny_has_the_fields_of_tiny_config": (Boastful, "hidden_size has another value there"),
    "test_its_tiny_model_is_small_and_runs": (Large, "the config of a small model"),
    "test_lora_targets_are_linear_layers": (OtherLayers, "`lora_targets` has 'qkv_proj', the name of no module"),
    "test_embeddings_are_modules": (OtherEmbeddings, "`embeddings` has 'wte', the name of no module"),
    "test_ia3_targets_are_modules": (OtherIa3, "`ia3_targets` has fc_out, the name of no module"),
    "test_paths_lead_to_blocks_and_their_projections": (OtherProjection, "`mlp_output` to one of each block"),
    "test_packed_rows_do_not_see_each_other_if_it_says_so": (Packs, "so `packs` is False"),
}


@pytest.mark.parametrize("test", sorted(BROKEN))
def test_a_broken_family_fails(test):
    make, words = BROKEN[test]
    assert words in message(ModelFamilyContract, test, make)


def test_lora_targets_that_are_no_linear_layers_fail():
    told = message(ModelFamilyContract, "test_lora_targets_are_linear_layers", Norms)
    assert "'input_layernorm' is no linear layer" in told


@pytest.mark.parametrize(
    ("broken", "said"),
    [(OtherBlocks, "lead to modules of the network"), (QueryAsProjection, "projects the MLP's inner")],
)
def test_paths_that_lead_elsewhere_fail(broken, said):
    assert said in message(ModelFamilyContract, "test_paths_lead_to_blocks_and_their_projections", broken)


def test_every_test_was_seen_to_fail():
    assert claims_of(ModelFamilyContract) == set(BROKEN)
