"""Models with an encoder and a decoder: what they are shown, and how often; what their texts are is tested beside those
of causal models in test_transformers.py."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from raysweep.errors import UnfitModel, UsageError
from raysweep.generators.base import GENERATORS, LiveModel, WantedModel
from raysweep.generators.caches.encoder_cache import BothCaches, WithEncoder, WithEncoderTogether
from raysweep.generators.caches.long_rope import longest_text
from raysweep.generators.patches import RowVariant
from raysweep.generators.proof import flaw_of
from raysweep.generators.rows import Tokens
from raysweep.models.loading import load_model
from raysweep.models.traits import read_traits, traits_of
from raysweep.records import Decoding, GenerationRequest, ModelKind, ModelRef
from tests.generators import writing
from tests.generators.test_patches import Told
from tests.models.configs import WITH_ENCODERS
from tests.models.tiny import cases
from tests.tiny import pairs

pytestmark = pytest.mark.slow

TOKENS = 12
SOME = ("t5", "bart")
"""One whose decoder may have rows of unequal lengths, and one whose decoder may not."""


def create(model: ModelRef, decoding: Decoding = Decoding(TOKENS), **args: Any) -> Any:
    return writing.create(model, decoding, **args)


def requests(count: int = 6, samples: int = 1) -> list[GenerationRequest]:
    return [
        GenerationRequest(f"{number}/{sample}", f"t{number}", prompt, sample)
        for number, (prompt, _) in enumerate(pairs(count))
        for sample in range(samples)
    ]


@pytest.mark.parametrize("name", cases(WITH_ENCODERS, SOME))
def test_texts_are_those_of_generate_whatever_is_written_beside_them(name, random):
    """Long for most types: t5 stands for those without positions in the decoder, bart for the others."""
    model = random(name)
    prompts = [request.prompt for request in requests()]
    expected = writing.texts_of_generate(*load_model(model), prompts, TOKENS, num_beams=1)
    assert len(set(expected)) > 1
    assert [completion.text for completion in create(model).generate(requests())] == expected
    drawn, asked = Decoding(TOKENS, 1.0, 1.0, samples=2), requests(samples=2)
    together = create(model, drawn).generate(asked)
    for budget in (1, 150):
        assert create(model, drawn, batch_tokens=budget).generate(asked[::-1])[::-1] == together


def test_the_encoder_reads_a_prompt_once_for_all_its_samples(random):
    asked, decoding = requests(4, samples=6), Decoding(TOKENS, 1.0, 1.0, samples=6)
    for budget in (10_000, 150):
        generator, read = create(random("t5"), decoding, batch_tokens=budget), []
        keys = generator.network.decoder.block[0].layer[1].EncDecAttention.k
        keys.register_forward_pre_hook(lambda _, args, read=read: read.append(args[0].shape[0]))
        inner = generator.network.encoder.block[0]
        inner.register_forward_pre_hook(lambda _, args, read=read: read.append(args[0].shape[0]))
        generator.generate(asked)
        assert sum(read) == 2 * 4, "by the encoder, and for the keys of the decoder's cross-attention"


def test_a_decoder_that_numbers_its_tokens_by_column_is_not_given_padded_rows(random):
    network, tokenizer = load_model(random("bart"))
    tokens = Tokens(tokenizer, longest_text(network), TOKENS, traits_of(network, tokenizer))
    said = flaw_of(WithEncoder(network), tokens)
    assert "begun beside one that is being written its logits differ" in said
    assert flaw_of(WithEncoderTogether(network), tokens) == ""


@pytest.mark.parametrize("broken", ["mask", "cache", "joined"])
def test_the_proof_finds_what_is_wrong(broken, random, monkeypatch):
    network, tokenizer = load_model(random("t5"))
    forward = network.forward
    if broken == "mask":  # of the prompts
        monkeypatch.setattr(network, "forward", lambda attention_mask=None, **given: forward(**given))
    elif broken == "cache":  # rows get another's
        chosen = BothCaches.chosen
        monkeypatch.setattr(BothCaches, "chosen", lambda self, rows, start=0: chosen(self, rows * 0, start))
    else:  # the prompts of rows that are joined change places
        joined = BothCaches.joined
        monkeypatch.setattr(BothCaches, "joined", lambda self, other: joined(self, other).chosen(torch.tensor([1, 0])))
    said = flaw_of(WithEncoder(network), Tokens(tokenizer, None, TOKENS, traits_of(network, tokenizer)))
    assert "its logits differ from those of whole texts" in said


def test_a_model_that_no_way_is_right_for_is_refused_with_the_way_out(random):
    network, tokenizer = load_model(random("t5"))

    def mixed(_: Any, __: Any, output: Any) -> None:
        output["last_hidden_state"] = output.last_hidden_state + output.last_hidden_state.mean(dim=0)

    network.decoder.register_forward_hook(mixed)
    with pytest.raises(UnfitModel, match=r"whose type is t5: .*take a model of another type, or serve it"):
        create(LiveModel(network, tokenizer))


def test_a_decoder_without_a_first_token_is_refused(random):
    network, tokenizer = load_model(random("t5"))
    for config in (network.config, network.generation_config):
        config.decoder_start_token_id = config.bos_token_id = None
    with pytest.raises(UnfitModel, match="no `decoder_start_token_id`"):
        create(LiveModel(network, tokenizer))


def test_encoder_and_decoder_have_positions_of_their_own(random):
    model = random("bart")
    tokenizer = load_model(model)[1]
    tokens = Tokens(tokenizer, 128, 500, read_traits(model, tokenizer))
    text = "x" * 400
    whole = tokenizer(text)["input_ids"]
    assert len(whole) > 128

    def row(length: int) -> Any:
        return tokens.row(GenerationRequest("0", "t", tokenizer.decode(whole[:length])))

    assert (row(128).budget, row(128).ended) == (127, False), "one is the decoder's first token"
    assert row(129).ended and tokens.completion(row(129)).stop == "length"


def test_an_encoder_reads_what_a_tokenizer_appends_as_in_training_and_writes_a_text_of_its_own(random):
    network, tokenizer = load_model(random("t5"))
    one = (tokenizer.eos_token, tokenizer.eos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"$A {one[0]}", special_tokens=[one])
    traits = traits_of(network, tokenizer)
    assert traits.after == (one[0],) and f"its tokenizer ends prompts with {one[0]}" in traits.words
    tokens = Tokens(tokenizer, None, 8, traits)
    row = tokens.row(GenerationRequest("0", "t", "def f(x):\n", stop=("\n",)))
    assert row.prompt[-1] == tokenizer.eos_token_id and not row.ended
    row.written = tokenizer("    return x\n# more")["input_ids"]
    assert (tokens.completion(row).text, tokens.completion(row).stop) == ("    return x", "\n")


def test_it_is_not_patched(random):
    generator = create(random("t5"))
    with pytest.raises(UsageError, match="a model with an encoder and a decoder can't be patched"):
        generator.write(requests(1), [RowVariant(Told(), 1)])


def test_what_can_not_run_it_says_so_before_work():
    model = WantedModel("mine", "t5", ModelKind.FULL, {}, Decoding(8), "seq2seq")
    with pytest.raises(UsageError, match=r"model mine: vLLM runs no encoder-decoder model; take generator transform"):
        GENERATORS.get("vllm").require_fit({}, model)
    with pytest.raises(UsageError, match=r"run model mine without a cache .*leave `cache` out"):
        GENERATORS.get("transformers").require_fit({"cache": False}, model)
    causal = dataclasses.replace(model, architecture="causal")
    for arguments, of in (({}, model), ({"cache": True}, model), ({}, causal), ({"cache": False}, causal)):
        GENERATORS.get("transformers").require_fit(arguments, of)
