"""What a model is, from its files and from memory: ends, what is put around prompts, embeddings, positions."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import LlamaTokenizerFast, PreTrainedTokenizerFast

from raysweep.models.architectures.shape import positions_of, rope_in_words
from raysweep.models.loading import load_model, load_tokenizer
from raysweep.models.traits import read_traits, traits_of
from raysweep.models.vocabulary import FILES, vocabulary_in_files, vocabulary_of
from raysweep.records import ModelKind, ModelRef
from tests.models.scripted import EOS, byte_tokenizer, write_scripted
from tests.tiny import tiny_tokenizer

CHATML = ("<|im_start|>", "<|im_end|>")
LLAMA_3 = ("<|end_of_text|>", "<|eot_id|>", "<|begin_of_text|>")


def rewrite(path: Path, **fields: Any) -> None:
    """Change fields of a JSON file; None removes one."""
    content = {**(json.loads(path.read_text()) if path.is_file() else {}), **fields}
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def in_files(folder: Path) -> Any:
    return vocabulary_in_files(*(folder / name if (folder / name).is_file() else None for name in FILES))


ENDS = [
    ("one end", (EOS,), {}, None, [EOS]),
    ("a list in generation_config", (EOS, "<|stop|>", "<|pause|>"), {}, [256, 258], [EOS, "<|pause|>"]),
    ("a list in the config alone", (EOS, "<|stop|>"), {"eos_token_id": [257]}, None, [EOS, "<|stop|>"]),
    ("another end than the tokenizer's", (EOS, "<|stop|>"), {}, 257, [EOS, "<|stop|>"]),
    ("generation_config before the config", (EOS, "<|stop|>"), {"eos_token_id": 65}, 257, [EOS, "<|stop|>"]),
    ("an end of turn that no config names", LLAMA_3, {}, 256, ["<|end_of_text|>", "<|eot_id|>"]),
    ("ChatML beside an end of text", (EOS, *CHATML), {}, None, [EOS, "<|im_end|>"]),
    ("an end of a part of an answer", (EOS, "<|end|>"), {}, None, [EOS]),
    ("a token that the model can't write", (EOS,), {"eos_token_id": 50256}, None, [EOS]),
]


@pytest.mark.parametrize(
    ("special", "config", "generation", "ends"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS]
)
def test_all_ends_are_read(special, config, generation, ends, tmp_path):
    declared = None if generation is None else {"eos_token_id": generation}
    ref = write_scripted(tmp_path / "model", byte_tokenizer(special), generation=declared, **config)
    traits = read_traits(ref)
    assert list(traits.ends.values()) == ends
    assert traits.ends == read_traits(ref, load_tokenizer(ref)).ends


def test_a_model_in_memory_ends_where_its_files_say(tmp_path):
    ref = write_scripted(tmp_path / "model", byte_tokenizer((EOS, "<|stop|>")), generation={"eos_token_id": [257]})
    assert traits_of(*load_model(ref)) == read_traits(ref)


def test_an_end_that_usual_texts_have_is_told(tmp_path):
    ref = write_scripted(tmp_path / "model", byte_tokenizer(), eos_token_id=[256, 0])
    assert read_traits(ref).ordinary_ends == ("!",)


@pytest.mark.parametrize("special", [("<|done|>",), (EOS, "<|im_end|>"), ("<|im_end|>", EOS)], ids=" ".join)
def test_an_adapter_ends_where_its_base_does_and_its_own_tokenizer_too(special, tmp_path):
    base = write_scripted(tmp_path / "base", byte_tokenizer((EOS, "<|stop|>"), ["pad"] * 4), rows=264, eos_token_id=257)
    adapter = ModelRef(str(tmp_path / "adapter"), ModelKind.ADAPTER, base)
    byte_tokenizer((EOS, "<|stop|>", *special), eos_token=special[0]).save_pretrained(adapter.location)
    ends = read_traits(adapter).ends.values()
    assert set(ends) == {EOS, "<|stop|>", *(text for text in special)}
    without = ModelRef(shutil.copytree(tmp_path / "adapter", tmp_path / "bare"), ModelKind.ADAPTER, base)
    for name in FILES:
        (tmp_path / "bare" / name).unlink(missing_ok=True)
    assert read_traits(without).ends == read_traits(base).ends


def test_an_end_of_text_that_the_config_of_a_sweep_names_is_the_tokenizers(tmp_path):
    ref = write_scripted(tmp_path / "model", byte_tokenizer((EOS, "<|stop|>"), eos_token=None), eos_token_id=256)
    named = ModelRef(ref.location, eos_token="<|stop|>")
    assert (read_traits(named).eos, read_traits(named).ends) == (257, {257: "<|stop|>", 256: EOS})


def template(single: str, *texts: str) -> Any:
    tokens = [(text, 256 + (EOS, "<s>", "[SEP]").index(text)) for text in texts]
    return processors.TemplateProcessing(single=single, special_tokens=tokens)


AROUND = {
    "nothing": (None, (), ()),
    "the end is appended": (template(f"$A {EOS}", EOS), (), (EOS,)),
    "a beginning": (template("<s> $A", "<s>"), ("<s>",), ()),
    "both, in a sequence": (
        processors.Sequence([processors.ByteLevel(trim_offsets=False), template(f"<s> $A {EOS}", "<s>", EOS)]),
        ("<s>",),
        (EOS,),
    ),
    "as Bert has it": (processors.BertProcessing(("[SEP]", 258), ("<s>", 257)), ("<s>",), ("[SEP]",)),
}


@pytest.mark.parametrize("name", AROUND)
def test_what_is_put_around_a_text_is_read_and_tried(name, tmp_path):
    processor, before, after = AROUND[name]
    tokenizer = byte_tokenizer((EOS, "<s>", "[SEP]"))
    if processor is not None:
        tokenizer.backend_tokenizer.post_processor = processor
    tokenizer.save_pretrained(tmp_path)
    for vocabulary in (in_files(tmp_path), vocabulary_of(tokenizer)):
        assert (vocabulary.before, vocabulary.after) == (before, after)


def test_an_appended_end_that_a_setting_asks_for_is_read(tmp_path):
    backend = byte_tokenizer(("</s>", "<s>", "<unk>")).backend_tokenizer
    LlamaTokenizerFast(tokenizer_object=backend, add_eos_token=True).save_pretrained(tmp_path)
    loaded = LlamaTokenizerFast.from_pretrained(tmp_path)
    from_files, from_loaded = in_files(tmp_path), vocabulary_of(loaded)
    assert from_files.after == from_loaded.after == ("</s>",)
    assert from_files.before == from_loaded.before  # transformers 5 begins texts with nothing here, 4 with <s>


def unigram() -> Any:
    pieces = [("<unk>", 0.0), *((letter, -1.0) for letter in "abc\u2581")]
    backend = Tokenizer(models.Unigram(pieces, unk_id=0))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


def words() -> Any:
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1, "[END]": 2}, unk_token="[UNK]"))
    fields = {"extra_special_tokens": {"image_token": "<image>"}, "additional_special_tokens": ["<one>", "<two>"]}
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="[END]", unk_token="[UNK]", **fields)


@pytest.mark.parametrize(
    "make", [tiny_tokenizer, unigram, words, lambda: byte_tokenizer(pieces=["x y"], pad_token="[P]")]
)
def test_files_tell_what_the_loaded_tokenizer_is(make, tmp_path):
    make().save_pretrained(tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert in_files(tmp_path) == vocabulary_of(loaded)


def of_larger_tokenizer(folder: Path) -> ModelRef:
    return write_scripted(folder, byte_tokenizer(pieces=["one", "two"]), rows=257)


def of_end_of_text(folder: Path) -> ModelRef:
    ref = write_scripted(folder, byte_tokenizer())
    rewrite(folder / "tokenizer_config.json", eos_token="[END]")
    return ref


def of_adapter(folder: Path) -> ModelRef:
    base = write_scripted(folder / "base", byte_tokenizer())
    byte_tokenizer((EOS, *CHATML), chat_template="<|im_start|>{{ messages[0].content }}").save_pretrained(
        folder / "adapter"
    )
    return ModelRef(str(folder / "adapter"), ModelKind.ADAPTER, base)


LARGER = [
    (of_larger_tokenizer, "its tokenizer has 259 tokens, and it has embeddings for 257: 'one' and 1 more have none"),
    (of_end_of_text, r"has 258 tokens, and it has embeddings for 257: '\[END\]' has none; .*resize_token_embeddings"),
    (of_adapter, r"has 259 tokens, and it has embeddings for 257: '<\|im_start\|>' has none"),
]


@pytest.mark.parametrize(("make", "message"), LARGER)
def test_tokens_without_embeddings_are_told(make, message, tmp_path):
    ref = make(tmp_path / "model")
    tokenizer = load_tokenizer(ref)
    for traits in (read_traits(ref), read_traits(ref, tokenizer)):
        assert re.search(message, traits.misfit)


def test_a_token_for_padding_needs_no_embedding(tmp_path):
    ref = write_scripted(tmp_path / "model", byte_tokenizer())
    rewrite(tmp_path / "model" / "tokenizer_config.json", pad_token="[PAD]")
    assert (read_traits(ref).misfit, read_traits(ref).unreadable) == ("", {"[PAD]"})
    assert read_traits(ref, load_tokenizer(ref)) == read_traits(ref)


@pytest.mark.parametrize("rows", [257, 264, 320])
def test_more_embeddings_than_tokens_are_no_fault(rows, tmp_path):
    assert not read_traits(write_scripted(tmp_path / "model", byte_tokenizer(), rows=rows)).misfit


def test_an_adapter_that_brings_larger_embeddings_along_fits(tmp_path):
    adapter = of_adapter(tmp_path / "model")
    weights = {"base_model.model.model.embed_tokens.weight": torch.zeros(259, 264)}
    save_file(weights, Path(adapter.location) / "adapter_model.safetensors")
    assert (read_traits(adapter).rows, read_traits(adapter).misfit) == (259, "")


POSITIONS = [
    ({"max_position_embeddings": 4096}, 4096),
    ({"n_positions": 1024, "n_ctx": 512}, 1024),
    ({"max_seq_len": 2048, "model_type": "mpt"}, 2048),
    ({"text_config": {"max_position_embeddings": 8192}}, 8192),
    ({"model_type": "bloom", "seq_length": 2048}, None),
]


@pytest.mark.parametrize(("config", "positions"), POSITIONS)
def test_positions_are_read_whatever_their_name(config, positions):
    assert positions_of(config) == positions


ROPE = [
    ({}, ""),
    ({"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}, ""),
    ({"rope_scaling": {"type": "linear", "factor": 4.0}}, "linear, factor 4"),
    (
        {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}},
        "yarn, first trained on 32,768",
    ),
    (
        {"rope_scaling": {"type": "longrope"}, "original_max_position_embeddings": 4096},
        "longrope, first trained on 4,096",
    ),
]


@pytest.mark.parametrize(("config", "words"), ROPE)
def test_stretched_frequencies_are_told(config, words):
    assert rope_in_words(config) == words


def test_a_plan_says_what_a_model_is_in_a_line(tmp_path):
    tokenizer = byte_tokenizer((EOS, "<s>", "<|im_end|>"))
    tokenizer.backend_tokenizer.post_processor = template(f"<s> $A {EOS}", "<s>", EOS)
    scaling = {"rope_type": "yarn", "factor": 2.0, "original_max_position_embeddings": 512}
    ref = write_scripted(tmp_path / "model", tokenizer, rope_scaling=scaling)
    assert read_traits(ref).words == (
        "ends at <|endoftext|> or <|im_end|>, 512 positions (RoPE: yarn, first trained on 512), its tokenizer begins "
        "texts with <s>, what its tokenizer appends (<|endoftext|>) is left out of prompts"
    )


@pytest.mark.parametrize("damage", ["{", '{"model": 3}', "[]"])
def test_a_damaged_tokenizer_leaves_its_part_unknown(damage, tmp_path):
    ref = write_scripted(tmp_path / "model", byte_tokenizer())
    (tmp_path / "model" / "tokenizer.json").write_text(damage)
    traits = read_traits(ref)
    assert (traits.ends, traits.tokens, traits.rows, traits.misfit) == ({256: "token 256"}, None, 257, "")
