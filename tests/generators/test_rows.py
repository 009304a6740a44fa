"""Completions end at every end of a model, as with `generate`; prompts don't end with what a tokenizer appends."""

from __future__ import annotations

import string
from typing import Any

import pytest
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from raysweep.errors import UnfitModel, UsageError
from raysweep.generators.base import EOS as BY_ITSELF
from raysweep.generators.base import LiveModel, WantedModel, is_too_long
from raysweep.generators.rows import Tokens
from raysweep.generators.transformers import Transformers
from raysweep.models.loading import load_model, load_tokenizer
from raysweep.models.traits import read_traits
from raysweep.prompts.answers.extraction import Extract, extracted
from raysweep.prompts.answers.found import Found
from raysweep.records import Completion, Decoding, GenerationRequest, ModelKind, ModelRef, Problem
from tests.generators.writing import texts_of_generate
from tests.models.scripted import EOS, byte_tokenizer, write_scripted
from tests.tiny import tiny_network

PIECES = ("    return 1", "\nsecond answer")


def written(model: ModelRef | LiveModel, **fields: Any) -> Completion:
    request = GenerationRequest("0", "t", "def f():\n", **fields)
    return Transformers(model, Decoding(8)).generate([request])[0]


def generated(model: ModelRef) -> str:
    return texts_of_generate(*load_model(model), ["def f():\n"], 8)[0]


WRITERS: dict[str, dict[str, Any]] = {
    "a list in generation_config": {"generation": {"eos_token_id": [256, 257]}},
    "a list in the config": {"eos_token_id": [257, 256]},
    "one that isn't the tokenizer's": {"generation": {"eos_token_id": 257}},
}


@pytest.mark.slow
@pytest.mark.parametrize("where", WRITERS)
def test_a_text_ends_where_generate_ends_it(where, tmp_path):
    tokenizer = byte_tokenizer((EOS, "<|stop|>"), PIECES)
    model = write_scripted(tmp_path / "model", tokenizer, [PIECES[0], "<|stop|>", PIECES[1]], **WRITERS[where])
    for one in (model, LiveModel(*load_model(model))):
        completion = written(one)
        assert (completion.text, completion.stop, completion.tokens) == (PIECES[0], BY_ITSELF, 2)
    assert generated(model) == PIECES[0]


@pytest.mark.slow
@pytest.mark.parametrize("turn", ["<|eot_id|>", "<|im_end|>", "<end_of_turn>"])
def test_a_text_ends_at_an_end_of_turn_that_no_config_names(turn, tmp_path):
    model = write_scripted(tmp_path / "model", byte_tokenizer((EOS, turn), PIECES), [PIECES[0], turn, PIECES[1]])
    completion = written(model)
    assert (completion.text, completion.stop) == (PIECES[0], BY_ITSELF)


WRITTEN = "def f():\n    return 1\n"
DRAFT = "```python\ndef f():\n    return 0\n```\n"
FIRST, SECOND = "<|channel|> analysis <|message|>", "<|end|> <|start|> assistant <|channel|> final <|message|>"
REASONERS = {
    "brackets": ("[THINK]", DRAFT, "[/THINK]", WRITTEN),
    "tags": ("<think>", DRAFT, "</think>", WRITTEN),
    "Cohere": ("<|START_THINKING|>", DRAFT, "<|END_THINKING|>", "<|START_RESPONSE|>", WRITTEN, "<|END_RESPONSE|>"),
    "channels": (*FIRST.split(), DRAFT, *SECOND.split(), WRITTEN),
    "a call": ("[THINK]", DRAFT, "[/THINK]", "<|python_tag|>", WRITTEN),
}


@pytest.mark.parametrize("name", REASONERS)
def test_control_tokens_of_reasoning_are_kept_and_drafts_are_no_answer(name, tmp_path):
    """A chain holds a token once; gpt-oss's, which repeats three, is read by the tokenizer alone."""
    chain = REASONERS[name]
    special = [text for text in dict.fromkeys(chain) if text not in (DRAFT, WRITTEN, "analysis", "assistant", "final")]
    tokenizer = byte_tokenizer((EOS, *special), [text for text in dict.fromkeys(chain) if text not in special])
    if len(set(chain)) == len(chain):
        model = write_scripted(tmp_path / "model", tokenizer, [*chain, EOS])
        for one in (model, LiveModel(*load_model(model))):
            whole = written(one).text
            assert whole == "".join(text for text in chain), "of control tokens the end of text alone is left out"
        cut = Transformers(model, Decoding(2)).generate([GenerationRequest("0", "t", "x")])[0].text
    else:
        tokens = Tokens(tokenizer, None, 8)
        whole, cut = (tokens.decoded(tokenizer.convert_tokens_to_ids(list(part))) for part in (chain, chain[:5]))
    assert [taken_from(text) for text in (whole, cut)] == [WRITTEN, None]


def taken_from(answer: str) -> str | None:
    problem = Problem("t", 'def f():\n    """Return 1."""\n', "f", "")
    found = extracted(problem, answer, Extract.AUTO)
    return None if found.found is Found.NOTHING else found.program.text


def test_texts_without_such_tokens_are_decoded_as_ever():
    tokenizer = byte_tokenizer((EOS, "<|im_end|>", "[INST]"), PIECES)
    ids = [*tokenizer(f"a[INST]{PIECES[0]} .<|im_end|>b")["input_ids"], tokenizer.eos_token_id]
    assert Tokens(tokenizer, None, 8).decoded(ids) == f"a{PIECES[0]} .b"


def test_an_end_that_is_plain_text_is_no_part_of_a_completion(tmp_path):
    tokenizer = byte_tokenizer((EOS,), (*PIECES, "###"))
    model = write_scripted(tmp_path / "model", tokenizer, [PIECES[0], "###", PIECES[1]], eos_token_id=[256, 259])
    assert written(model).text == PIECES[0]


def test_a_text_ends_at_the_end_of_an_adapters_tokenizer(tmp_path):
    tokenizer = byte_tokenizer((EOS, "<|done|>"), PIECES)
    base = write_scripted(tmp_path / "base", tokenizer, [PIECES[0], "<|done|>", PIECES[1]])
    adapter = ModelRef(str(tmp_path / "adapter"), ModelKind.ADAPTER, base)
    assert written(base).text == "".join([PIECES[0], *[PIECES[1]] * 6])
    byte_tokenizer((EOS, "<|done|>"), PIECES, eos_token="<|done|>").save_pretrained(adapter.location)
    tokens = Tokens(load_tokenizer(adapter), None, 8, read_traits(adapter))
    assert tokens.row(GenerationRequest("0", "t", "p")).ends == {256: BY_ITSELF, 257: BY_ITSELF}


@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("single", [f"$A {EOS}", f"<s> $A {EOS}", "<s> $A <s>"])
def test_a_prompt_does_not_end_with_what_a_tokenizer_appends(single, special, tmp_path):
    tokenizer = byte_tokenizer((EOS, "<s>"))
    tokens = [(text, tokenizer.convert_tokens_to_ids(text)) for text in (EOS, "<s>")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=tokens)
    model = write_scripted(tmp_path / "model", tokenizer)
    loaded = load_tokenizer(model)
    row = Tokens(loaded, None, 8, read_traits(model, loaded)).row(
        GenerationRequest("0", "t", "def", special_tokens=special)
    )
    first = [257] if special and single.startswith("<s>") else []
    assert row.prompt == [*first, *loaded("def", add_special_tokens=False)["input_ids"]]


def test_a_prompt_of_more_tokens_than_are_wanted_gets_no_answer(tmp_path):
    model = write_scripted(tmp_path / "model", byte_tokenizer(pieces=PIECES), [PIECES[0]])
    requests = [GenerationRequest("0", "t", "def"), GenerationRequest("1", "u", "def ")]
    kept, skipped = Transformers(model, Decoding(2), longest_prompt=3).generate(requests)
    assert (kept.text, is_too_long(kept)) == (2 * PIECES[0], False)
    assert (skipped.text, is_too_long(skipped)) == ("", True)
    with pytest.raises(UsageError, match="`longest_prompt: 0` of generator transformers must be at least 1"):
        Transformers.require_fit({"longest_prompt": 0}, WantedModel("m", "llama", ModelKind.FULL, {}, Decoding()))


def test_a_generator_refuses_tokens_without_embeddings(tmp_path):
    model = write_scripted(tmp_path / "model", byte_tokenizer(pieces=PIECES), rows=257)
    with pytest.raises(UnfitModel, match=r"model .*: its tokenizer has 259 tokens, and it has embeddings for 257"):
        Transformers(model, Decoding(8))


def test_a_tokenizer_that_changes_texts_is_told(tmp_path):
    """A tokenizer for prose has no lines: such a model can neither read nor write Python, and would score 0."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

    words = Tokenizer(models.WordPiece({"[UNK]": 0, "</s>": 1, **{c: n + 2 for n, c in enumerate(string.printable)}}))
    words.normalizer, words.pre_tokenizer = (
        normalizers.BertNormalizer(lowercase=True),
        pre_tokenizers.BertPreTokenizer(),
    )
    words.decoder = decoders.WordPiece()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="</s>", unk_token="[UNK]")
    told: list[str] = []
    for one in (byte_tokenizer(), tokenizer):
        generator = Transformers(LiveModel(tiny_network(one), one), Decoding(2))
        generator.tell = told.append
        generator.generate([GenerationRequest("0", "t", "x")])
    (remark,) = told
    assert remark.startswith("the tokenizer of model in memory changes texts: it reads 'def add(a, b):\\n    ")
